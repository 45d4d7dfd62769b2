"""Tokenizers carried over exactly, or refused."""

import importlib.util
from pathlib import Path
from typing import Any

import jinja2
import pytest

from wardian.errors import ConfigurationError
from wardian.train.gguf.vocabulary import inference_template, vocabulary_of

_PATH = Path(__file__).parents[2] / "support" / "small_models.py"
_SPEC = importlib.util.spec_from_file_location("small_models", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
small_models = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(small_models)


@pytest.fixture
def tokenizer() -> Any:
    return small_models.make_tokenizer()


def test_tokens_keep_their_place_and_kind(tokenizer: Any) -> None:
    size = len(tokenizer) + 2
    made = vocabulary_of(tokenizer, size)
    assert len(made.tokens) == len(made.kinds) == size
    assert made.tokens[1] == "<|im_start|>"
    assert made.kinds[1] == "CONTROL"
    assert made.kinds[len(tokenizer) - 1] == "USER_DEFINED"
    assert made.kinds[-1] == "UNUSED"
    assert made.special == {"eos": 2, "pad": 0}
    assert not made.adds_bos


@pytest.mark.parametrize(
    "template",
    [
        "a{% generation %}b{% endgeneration %}c",
        "a {%- generation -%} b {%- endgeneration -%} c",
        "a\n  {% generation %}\nb\n  {%- endgeneration %}\nc",
        "a {%+ generation +%}\n b {%- endgeneration +%}\n c",
        "a\n\t{%generation-%}\n b \n {%endgeneration%} c\n",
    ],
)
def test_marks_of_training_leave_the_space_around_them_as_it_was(template: str) -> None:
    plain = inference_template(template)
    assert plain is not None
    assert "generation" not in plain
    blocks = template.replace("endgeneration", "endif").replace("generation", "if true")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)  # as transformers has it
    assert environment.from_string(plain).render() == environment.from_string(blocks).render()


def test_several_templates_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="several chat templates"):
        inference_template({"default": "a", "tool_use": "b"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("normalizer", "Lowercase"),
        ("pre_tokenizer", "Whitespace"),
        ("pattern", "no name for"),
        ("prefix", "add_prefix_space"),
    ],
)
def test_a_way_of_cutting_text_that_llama_cpp_has_not_is_refused(
    tokenizer: Any, change: str, said: str
) -> None:
    from tokenizers import Regex, normalizers, pre_tokenizers

    backend = tokenizer.backend_tokenizer
    if change == "normalizer":
        backend.normalizer = normalizers.Lowercase()
    elif change == "pre_tokenizer":
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
    elif change == "pattern":
        backend.pre_tokenizer = pre_tokenizers.Split(Regex("[aeiou]"), "isolated")
    else:
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    with pytest.raises(ConfigurationError, match=said):
        vocabulary_of(tokenizer, len(tokenizer))


def test_an_embedding_smaller_than_the_vocabulary_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ConfigurationError, match="only 10"):
        vocabulary_of(tokenizer, 10)
