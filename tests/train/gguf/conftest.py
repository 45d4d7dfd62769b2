"""Conversion needs the extras `train` and `local`; without them these tests are not collected."""

import importlib.util
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

_NEEDED = ("torch", "transformers", "peft", "gguf", "numpy", "llama_cpp", "jinja2")
collect_ignore_glob = [] if all(map(find_spec, _NEEDED)) else ["test_*.py"]

_PATH = Path(__file__).parents[2] / "support" / "small_models.py"
_SPEC = importlib.util.spec_from_file_location("small_models", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
small_models = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(small_models)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Path]:
    """`make_model(folder, config_class, pattern=None, **config)`: see support/small_models.py."""

    def make(folder: Path, name: str, pattern: str | None = None, **config: Any) -> Path:
        import torch
        import transformers

        torch.set_num_threads(1)  # the models are smaller than what threads wait for each other
        transformers.utils.logging.disable_progress_bar()
        kind: Any = getattr(transformers, name)
        made: Path = small_models.make_model(folder, kind(**small_models.SHAPE, **config), pattern)
        return made

    return make


@pytest.fixture(scope="session")
def qwen3(tmp_path_factory: pytest.TempPathFactory, make_model: Callable[..., Path]) -> Path:
    """A random Qwen3 of two layers."""
    return make_model(tmp_path_factory.mktemp("small") / "qwen3", "Qwen3Config", head_dim=32)
