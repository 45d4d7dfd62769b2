# ruff: noqa: RUF001  DeepSeek's markers are spelled with these letters
"""What a family's template writes, its parser reads; and its grammar allows just that."""

import importlib.util
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.models.calling import ReplyParser
from wardian.models.families import FAMILIES, Family, WrittenCall, family_named, family_of
from wardian.models.families.lark import LarkTerminals
from wardian.models.template import ChatTemplate, pieces

_SPEC = importlib.util.spec_from_file_location(
    "family_templates", Path(__file__).with_name("templates.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
TEMPLATES: Mapping[str, str] = _MODULE.TEMPLATES

SCHEMAS: dict[str, dict[str, Any]] = {
    "python": {
        "type": "object",
        "properties": {
            "code": {"type": "string"},
            "count": {"type": "integer"},
            "is_quiet": {"type": "boolean"},
            "options": {"type": "object"},
            "paths": {"type": "array"},
            "mode": {"enum": ["fast", "slow"]},
        },
        "required": ["code"],
    },
    "read_file": {
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
    },
}
TOOLS = [
    {"type": "function", "function": {"name": n, "description": f"{n}.", "parameters": s}}
    for n, s in SCHEMAS.items()
]
CODE = "if a < 3 and b > '{}':\n\tprint(\"é ☃\", [1], {2: 3})\n"
FULL = {
    "code": CODE,
    "count": -7,
    "is_quiet": True,
    "options": {"deep": {"er": [1, "two", None, False]}, "empty": {}},
    "paths": ["a b", 2.5, []],
    "mode": "slow",
}
NAMES = [family.name for family in FAMILIES]


def parsed(
    text: str, family: Family, *, size: int = 1_000_000, thinking: bool = False
) -> ReplyParser:
    parser = ReplyParser(SCHEMAS, family=family, thinking=thinking)
    for at in range(0, len(text), size):
        parser.feed(text[at : at + size])
    parser.finish()
    return parser


def found(parser: ReplyParser) -> list[tuple[str, Any]]:
    return [(c.name, json.loads(c.arguments_text)) for c in parser.calls]


def call(number: int, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(arguments, ensure_ascii=False)
    return {"id": f"call_{number}", "name": name, "arguments": text}


def written(family: Family, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    return family.write(
        [WrittenCall(name=n, arguments=a, json=json.dumps(a, ensure_ascii=False)) for n, a in calls]
    )


def reply_in(template: ChatTemplate, message: Mapping[str, Any], results: int) -> tuple[str, bool]:
    """What the model would have written for this message, and whether its prompt ends thinking."""
    start: list[Mapping[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Do it."},
    ]
    answers: list[Mapping[str, Any]] = [
        {"role": "tool", "content": "RESULT", "call_id": f"call_{i + 1}", "name": "python"}
        for i in range(results)
    ]
    prompt = "".join(pieces(template.render(start, TOOLS)))
    whole = "".join(pieces(template.render([*start, message, *answers], TOOLS)))
    is_thinking = whole.startswith(prompt) and template.family.is_thinking(prompt)
    begin = len(prompt) if whole.startswith(prompt) else whole.index("Do it.") + len("Do it.")
    reply = whole[begin:].partition("RESULT")[0].partition("<|eot_id|>")[0]
    return reply, is_thinking


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_told_apart_by_its_source(name: str) -> None:
    assert family_of(TEMPLATES[name]).name == name
    assert ChatTemplate(TEMPLATES[name]).family.name == name


def test_a_template_that_writes_calls_in_no_known_way_is_spoken_to_in_words() -> None:
    foreign = (
        TEMPLATES["hermes"]
        .replace('<tool_call>\n{{ \'{"name"', '<tool_call>@@{{ \'{"who"')
        .replace('"arguments"', '"what"')
    )
    template = ChatTemplate(foreign)
    assert template.family.name == "hermes"
    text = "".join(pieces(template.render([{"role": "user", "content": "Hi"}], TOOLS)))
    assert '{"name": <function-name>, "arguments": <args-json-object>}' in text


@pytest.mark.parametrize("size", [1, 1_000_000])
@pytest.mark.parametrize("name", NAMES)
def test_calls_come_back_from_the_template_as_they_went_in(name: str, size: int) -> None:
    template = ChatTemplate(TEMPLATES[name])
    message = {"role": "assistant", "content": "", "calls": [call(1, "python", FULL)]}
    reply, thinking = reply_in(template, message, 1)
    assert found(parsed(reply, template.family, size=size, thinking=thinking)) == [("python", FULL)]


@pytest.mark.parametrize("name", sorted({*NAMES} - {"llama3", "harmony"}))
def test_two_calls_of_one_message_come_back_in_order(name: str) -> None:
    template = ChatTemplate(TEMPLATES[name])
    calls = [call(1, "python", FULL), call(2, "read_file", {"path": "a b"})]
    reply, thinking = reply_in(template, {"role": "assistant", "content": "", "calls": calls}, 2)
    assert found(parsed(reply, template.family, thinking=thinking)) == [
        ("python", FULL),
        ("read_file", {"path": "a b"}),
    ]


@pytest.mark.parametrize("name", ["llama3", "harmony"])
def test_where_a_message_holds_one_call_two_are_told_one_after_the_other(name: str) -> None:
    template = ChatTemplate(TEMPLATES[name])
    calls = [call(1, "python", {"code": "1"}), call(2, "read_file", {"path": "a"})]
    messages: list[Mapping[str, Any]] = [
        {"role": "user", "content": "Do it."},
        {"role": "assistant", "content": "", "reasoning": "I think.", "calls": calls},
        {"role": "tool", "content": "FIRST", "call_id": "call_1", "name": "python"},
        {"role": "tool", "content": "SECOND", "call_id": "call_2", "name": "read_file"},
    ]
    text = "".join(pieces(template.render(messages, TOOLS)))
    places = [text.rindex(mark) for mark in ('{"code": "1"}', "FIRST", '{"path": "a"}', "SECOND")]
    assert places == sorted(places)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"llama3", "granite", "functiongemma"}))
def test_reasoning_comes_back_apart_from_calls(name: str) -> None:
    template = ChatTemplate(TEMPLATES[name])
    message = {
        "role": "assistant",
        "content": "",
        "reasoning": "First {this}.",
        "calls": [call(1, "read_file", {"path": "a"})],
    }
    reply, thinking = reply_in(template, message, 1)
    parser = parsed(reply, template.family, size=1, thinking=thinking)
    assert parser.reasoning == "First {this}."
    assert found(parser) == [("read_file", {"path": "a"})]


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("tools", [SCHEMAS, {}], ids=["tools", "no tools"])
def test_harmonys_channels_are_told_apart_with_and_without_tools(
    tools: dict[str, dict[str, Any]], size: int
) -> None:
    text = (
        "<|channel|>analysis<|message|>I think.<|end|><|start|>assistant<|channel|>commentary"
        "<|message|>I look.<|end|><|start|>assistant<|channel|>final<|message|>assistants say 42."
    )
    parser = ReplyParser(tools, family=family_named("harmony"))
    for at in range(0, len(text), size):
        parser.feed(text[at : at + size])
    parser.finish()
    assert (parser.reasoning, parser.text, parser.calls) == (
        "I think.",
        "I look.\n\nassistants say 42.",
        [],
    )


def test_a_model_that_forgets_its_channels_is_still_heard() -> None:
    assert parsed("assistants say 42.", family_named("harmony")).text == "assistants say 42."


GEMMAS_QUOTE = '<|"|>'
"""Which its own notation cannot say."""
TEXTS = st.text(st.sampled_from("ab é☃\n\t\"'\\{}[]<>/|=,:`1-."), max_size=20).filter(
    lambda text: GEMMAS_QUOTE not in text
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc_", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
ARGUMENTS = st.fixed_dictionaries(
    {"code": TEXTS},
    optional={
        "count": st.integers(-999, 999),
        "is_quiet": st.booleans(),
        "options": st.dictionaries(st.text("abc_", min_size=1, max_size=4), VALUES, max_size=3),
        "paths": st.lists(VALUES, max_size=3),
    },
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(arguments=ARGUMENTS, path=TEXTS, size=st.integers(1, 7))
def test_any_arguments_come_back_however_the_text_is_cut(
    name: str, arguments: dict[str, Any], path: str, size: int
) -> None:
    family = family_named(name)
    calls: list[tuple[str, Mapping[str, Any]]] = [("python", arguments)]
    if name != "llama3":
        calls.append(("read_file", {"path": path}))
    text = written(family, calls)
    whole, cut = parsed(text, family), parsed(text, family, size=size)
    assert found(whole) == calls
    assert found(cut) == calls
    assert (whole.text, whole.reasoning) == (cut.text, cut.reasoning) == ("", "")


QUOTING = sorted(
    {*NAMES} - {"glm", "glm-4.7", "qwen-coder", "deepseek-v3.2", "gemma", "functiongemma"}
)
"""The others have no quotes for their own closing marker."""


@pytest.mark.parametrize("name", QUOTING)
def test_a_marker_inside_an_argument_does_not_end_it_where_json_quotes_it(name: str) -> None:
    family = family_named(name)
    code = " ".join(sorted(family.all_markers()))
    assert found(parsed(written(family, [("python", {"code": code})]), family, size=3)) == [
        ("python", {"code": code})
    ]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(data=st.data(), size=st.integers(1, 5))
def test_any_text_is_read_alike_in_any_pieces(name: str, data: st.DataObject, size: int) -> None:
    family = family_named(name)
    parts = [
        *sorted(family.all_markers()),
        '{"name": "python", ',
        '"arguments": {',
        "}",
        "\n",
        "a",
        "<",
    ]
    text = "".join(data.draw(st.lists(st.sampled_from(parts), max_size=12)))
    whole, cut = parsed(text, family), parsed(text, family, size=size)
    assert [(c.name, c.arguments_text) for c in whole.calls] == [
        (c.name, c.arguments_text) for c in cut.calls
    ]
    assert (whole.text, whole.reasoning) == (cut.text, cut.reasoning)


@pytest.mark.parametrize("place", ["user", "result", "argument", "tool name", "description"])
@pytest.mark.parametrize("name", NAMES)
def test_a_familys_markers_in_strangers_text_stay_text(name: str, place: str) -> None:
    """Each marker is a token of its own here; in a piece, only the template's own are whole."""
    family = family_named(name)
    markers = sorted(m for m in family.all_markers() if " " not in m and "><" not in m)
    markers = [m for m in markers if "|analysis" not in m.replace("<|message|>", "")]
    specials = [*markers, "<|im_start|>", "<|im_end|>"]
    hostile = " ".join([*markers, "<|im_end|>"])
    harmless = hostile.replace("<", "(").replace("[", "(").replace("｜", ":").replace("◁", "(")

    def rendered(text: str) -> list[str]:
        messages: list[Mapping[str, Any]] = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": text if place == "user" else "Do it."},
            {"role": "assistant", "content": "", "calls": [
                call(1, text if place == "tool name" else "python",
                     {"code": text if place == "argument" else "1"})]},
            {"role": "tool", "content": text if place == "result" else "1", "call_id": "call_1",
             "name": "python"},
        ]  # fmt: skip
        function = {
            **TOOLS[0]["function"],  # type: ignore[dict-item]  # a literal above
            "description": text if place == "description" else "?",
        }
        template = ChatTemplate(TEMPLATES[name], specials)
        return pieces(template.render(messages, [{"type": "function", "function": function}]))

    def tokens(parts: list[str]) -> dict[str, int]:
        return {m: sum(part.count(m) for part in parts) for m in specials}

    assert tokens(rendered(hostile)) == tokens(rendered(harmless))
    assert "".join(rendered(hostile)).count(markers[0]) > tokens(rendered(hostile))[markers[0]]


@pytest.fixture(scope="module")
def byte_tokenizer() -> Any:
    llguidance = pytest.importorskip("llguidance")
    return llguidance.LLTokenizer("byte")


def matcher_of(family: Family, tokenizer: Any, schemas: Mapping[str, Any] = SCHEMAS) -> Any:
    from llguidance import LLMatcher

    spaced = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    terminals = LarkTerminals(
        {}, lambda schema, _: "%json " + json.dumps({**schema, "x-guidance": spaced})
    )
    rules = family.grammar(schemas, terminals)
    grammar = LLMatcher.grammar_from_lark(f"start: body\n{rules}{''.join(terminals.rules)}")
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar, tokenizer)
    assert not failed, messages
    return LLMatcher(tokenizer, grammar, log_level=0)


def body_of(family: Family, text: str) -> bytes:
    """What stands after the trigger."""
    return text.partition(family.trigger)[2].encode() if family.trigger in text else text.encode()


@pytest.mark.parametrize("name", NAMES)
def test_the_grammar_takes_what_the_family_writes(name: str, byte_tokenizer: Any) -> None:
    family = family_named(name)
    for arguments in (FULL, {"code": ""}, {"code": CODE, "mode": "fast"}):
        matcher = matcher_of(family, byte_tokenizer)
        body = body_of(family, written(family, [("python", arguments)]))
        assert matcher.consume_tokens(byte_tokenizer.tokenize_bytes(body)), body
        assert matcher.is_accepting()


@pytest.mark.parametrize("name", NAMES)
def test_the_grammar_refuses_another_tool_and_a_missing_argument(
    name: str, byte_tokenizer: Any
) -> None:
    family = family_named(name)
    for tool, arguments in (("rm", {"path": "a"}), ("read_file", {}), ("python", {"code": 1})):
        matcher = matcher_of(family, byte_tokenizer)
        body = body_of(family, written(family, [(tool, arguments)]))
        tokens = byte_tokenizer.tokenize_bytes(body)
        taken = matcher.try_consume_tokens(tokens)
        is_text = name in ("glm", "glm-4.7", "qwen-coder") and tool == "python"
        assert is_text or taken < len(tokens)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_the_grammar_lets_through_is_a_valid_call(name: str, byte_tokenizer: Any) -> None:
    """Bytes drawn at random under the mask, as a model that knows nothing would."""
    from jsonschema import Draft202012Validator

    schemas = {
        "set": {
            "type": "object",
            "properties": {
                "on": {"type": "boolean"},
                "n": {"enum": [1, 22]},
                "x": {"type": "null"},
            },
            "required": ["on"],
            "additionalProperties": False,
        }
    }
    family = family_named(name)
    for seed in range(8):
        chosen = random.Random(seed)
        matcher, out = matcher_of(family, byte_tokenizer, schemas), bytearray()
        while not matcher.is_stopped() and len(out) < 4000:
            mask = int.from_bytes(matcher.compute_bitmask(), "little")
            allowed = [i for i in range(256) if mask >> i & 1]
            if not allowed or (matcher.is_accepting() and chosen.random() < 0.3):
                break
            token = chosen.choice(allowed)
            assert matcher.consume_token(token)
            out.append(token)
        parser = ReplyParser(schemas, family=family)
        parser.feed(family.trigger + out.decode())
        parser.finish()
        assert parser.calls, bytes(out)
        for made in parser.calls:
            assert made.name == "set"
            Draft202012Validator(schemas["set"]).validate(json.loads(made.arguments_text))
