"""The built-in model's tokenizer: copies are spelled alike, and as llama.cpp spells them."""

from pathlib import Path

import llama_cpp
from hypothesis import given
from hypothesis import strategies as st

from wardian.evals.suites.tiny.tasks import make_problem
from wardian.train.tiny.chat import CONTROL_TOKENS, PLAIN_TOKENS, Span
from wardian.train.tiny.export_gguf import write_gguf
from wardian.train.tiny.network import Shape, TinyNetwork
from wardian.train.tiny.tokenizer import TinyTokenizer, byte_alphabet

_PROBLEMS = [make_problem(f"t/{n}") for n in range(150)]
_TEXTS = [text for p in _PROBLEMS for text in (p.prompt, *p.files.values())]
_TOKENIZER = TinyTokenizer.learn(_TEXTS, 200)
_ODD = [
    "a | b",
    "'static' ''s don't",
    "x\n\n\ny  z\t\tw",
    "Ünïcode…ok\uff0c\u3002foo",
    "a||b..c!!?",
    "  lead",
    "trail  ",
    "\u00a0nb\u2003em",
    "日本語 1234567",
    "a\r\nb",
    '{"a":{"b":""}}',
    "<tool_call>x</tool_call> <tool_respons",
    "\U0001f600x",
    "\x00\x07",
    "",
]


@given(st.text())
def test_decoding_gives_back_any_text(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert _TOKENIZER.decode(_TOKENIZER.encode(text)) == text


@given(st.from_regex(r"[A-Za-z]{1,12}|[0-9]{1,12}", fullmatch=True))
def test_a_word_or_number_is_spelled_alike_wherever_it_stands(item: str) -> None:
    alone = _TOKENIZER.encode(item)
    for before, after in (
        (" ", " "),
        ('"', '"'),
        ("(", ")"),
        ("'", "'"),
        ("\n", "."),
        ('\\"', '\\")'),
    ):
        around = _TOKENIZER.encode(before + item + after)
        left = len(_TOKENIZER.encode(before))
        assert around[left : left + len(alone)] == alone


def test_text_never_becomes_a_control_token() -> None:
    control = {_TOKENIZER.ids[token] for token in CONTROL_TOKENS}
    for token in CONTROL_TOKENS:
        assert not control & set(_TOKENIZER.encode(f"a{token}b"))
    assert _TOKENIZER.encode_spans([Span(CONTROL_TOKENS[1], False, True)])[0] == [1]


def test_the_merges_survive_saving(tmp_path: Path) -> None:
    _TOKENIZER.save(tmp_path / "t.json")
    assert TinyTokenizer.load(tmp_path / "t.json").tokens == _TOKENIZER.tokens


def test_merges_never_join_a_space_to_a_word() -> None:
    space = byte_alphabet()[32]
    joined = _TOKENIZER.tokens[len(CONTROL_TOKENS) + len(PLAIN_TOKENS) + 256 :]
    assert all(space not in t or not any(c.isalnum() for c in t.replace(space, "")) for t in joined)


def test_llama_cpp_gives_the_same_ids(tmp_path: Path) -> None:
    shape = Shape(vocabulary=len(_TOKENIZER.tokens), width=32, layers=1, heads=1, hidden=32)
    write_gguf(tmp_path / "m.gguf", TinyNetwork(shape), _TOKENIZER)
    model = llama_cpp.Llama(str(tmp_path / "m.gguf"), vocab_only=True, verbose=False)
    texts = [t for t in [*_TEXTS, *_ODD] if not any(c in t for c in CONTROL_TOKENS)]
    for text in texts:
        theirs = model.tokenize(text.encode(), add_bos=False, special=True)
        assert theirs == _TOKENIZER.encode(text), text
    model.close()
