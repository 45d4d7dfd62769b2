"""Models with random weights, made when first needed."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

_PATH = Path(__file__).parents[2] / "support" / "random_gguf.py"
_SPEC = importlib.util.spec_from_file_location("random_gguf", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
random_gguf = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(random_gguf)


@pytest.fixture(scope="session")
def make_gguf() -> Callable[..., Path]:
    """`make_gguf(path, **options)`: see tests/support/random_gguf.py."""
    made: Callable[..., Path] = random_gguf.make_gguf
    return made


@pytest.fixture(scope="session")
def small_gguf(tmp_path_factory: pytest.TempPathFactory, make_gguf: Callable[..., Path]) -> Path:
    """Two layers, about 400 tokens, a template in the manner of Qwen's."""
    return make_gguf(tmp_path_factory.mktemp("gguf") / "small.gguf")
