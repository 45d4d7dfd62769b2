"""A circle needs the extras `train` and `local`; without them these tests are not collected."""

import importlib.util
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

_NEEDED = ("torch", "transformers", "trl", "datasets", "gguf", "llama_cpp", "jinja2")
collect_ignore_glob = [] if all(map(find_spec, _NEEDED)) else ["test_*.py"]

KIT = Path(__file__).parents[1] / "support" / "circle_kit.py"


@pytest.fixture
def kit_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """`kit_at(folder)`: see tests/support/circle_kit.py."""
    spec = importlib.util.spec_from_file_location("circle_kit", KIT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("WARDIAN_HOME", "")  # restored afterwards; the kit sets its own
    made: Callable[[Path], Any] = module.Kit
    return made


@pytest.fixture
def kit_of(kit_at: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """The same, with a suite and a model to begin with."""

    def make(folder: Path) -> Any:
        kit = kit_at(folder)
        kit.prepare()
        return kit

    return make
