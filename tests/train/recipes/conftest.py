"""Training needs the extras `train` and `local`; without them these tests are not collected."""

import importlib.util
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_NEEDED = ("torch", "transformers", "trl", "peft", "datasets", "gguf", "llama_cpp", "jinja2")
collect_ignore_glob = [] if all(map(find_spec, _NEEDED)) else ["test_*.py"]
SUPPORT = Path(__file__).parents[2] / "support"
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.15,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 2,
}


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SUPPORT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def kit() -> Any:
    """The module tests/support/training_rows.py."""
    return _load("training_rows")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Qwen3 of some 40,000 parameters and its tokenizer."""
    from transformers import Qwen3Config

    config = Qwen3Config(**SHAPE, tie_word_embeddings=True)
    made: Path = _load("small_models").make_model(tmp_path_factory.mktemp("small") / "m", config)
    return made


@pytest.fixture(scope="session")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a Llama, whose queries and keys llama.cpp stores in another order."""
    from transformers import LlamaConfig

    config = LlamaConfig(**SHAPE, tie_word_embeddings=False)
    made: Path = _load("small_models").make_model(tmp_path_factory.mktemp("llama") / "m", config)
    return made
