"""Calls and reasoning are found in text however it is cut into pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.models.calling import ReplyParser
from wardian.types import CallDelta, ReasoningDelta, TextDelta

TOOLS = ("python", "read_file")
CALL = '<tool_call>\n{"name": "python", "arguments": {"code": "print(1)"}}\n</tool_call>'


def parse(text: str, *, size: int = 10_000, thinking: bool = False) -> ReplyParser:
    parser = ReplyParser(TOOLS, thinking=thinking)
    deltas = [
        d for at in range(0, len(text), size) for d in parser.feed(text[at : at + size])
    ] + parser.finish()
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == parser.text
    assert "".join(d.text for d in deltas if isinstance(d, ReasoningDelta)) == parser.reasoning
    for index, call in enumerate(parser.calls):
        mine = [d for d in deltas if isinstance(d, CallDelta) and d.index == index]
        assert "".join(d.name for d in mine) in (call.name, "")[: 1 if call.name else 2]
    return parser


def found(parser: ReplyParser) -> list[tuple[str, str]]:
    return [(c.name, c.arguments_text) for c in parser.calls]


def test_a_call_is_found_with_its_arguments_as_written() -> None:
    assert found(parse(CALL)) == [("python", '{"code": "print(1)"}')]


def test_text_around_calls_is_kept_and_trimmed() -> None:
    parser = parse(f"\n I will look.\n\n{CALL}\n{CALL}\n")
    assert parser.text == "I will look."
    assert len(parser.calls) == 2
    assert [c.id for c in parser.calls] == ["call00001", "call00002"]


def test_reasoning_is_kept_apart() -> None:
    parser = parse(f"<think>\nSay <tool_call> now.\n</think>\n\n{CALL}")
    assert parser.reasoning == "Say <tool_call> now."
    assert (parser.text, len(parser.calls)) == ("", 1)


def test_a_reply_that_begins_inside_reasoning_is_understood() -> None:
    parser = parse("I think.\n</think>\nYes.", thinking=True)
    assert (parser.reasoning, parser.text) == ("I think.", "Yes.")


def test_the_closing_marker_inside_a_string_does_not_end_the_call() -> None:
    arguments = json.dumps({"code": "print('</tool_call>')"})
    parser = parse(f'<tool_call>{{"name": "python", "arguments": {arguments}}}</tool_call>ok')
    assert found(parser) == [("python", arguments)]
    assert parser.text == "ok"


@pytest.mark.parametrize(
    "bare",
    [
        '{"name": "python", "arguments": {"code": "1"}}',
        '```json\n{"name": "python", "arguments": {"code": "1"}}\n```',
        '\n{"name": "python", "parameters": {"code": "1"}}\n',
    ],
)
def test_a_bare_object_that_names_a_tool_is_a_call(bare: str) -> None:
    parser = parse(bare)
    assert found(parser) == [("python", '{"code": "1"}')]
    assert parser.text == ""


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "somebody", "arguments": {}}',
        '{"answer": 42}',
        '{"name": "python"',
        "```json\n[1]\n```",
        "2 < 3 and <tool is no marker",
    ],
)
def test_text_that_only_looks_like_a_call_stays_text(text: str) -> None:
    parser = parse(text)
    assert (parser.text, parser.calls) == (text, [])


def test_without_tools_a_marker_is_text() -> None:
    parser = ReplyParser()
    parser.feed(CALL)
    parser.finish()
    assert (parser.text, parser.calls) == (CALL, [])


@pytest.mark.parametrize(
    ("inside", "name"),
    [
        ("python(1)", ""),
        ('{"name": "python", "arguments": {"code": 1}', "python"),
        ('{"name": "python", "arguments": {"code": 1}} and more', "python"),
        ('{"arguments": {}}', ""),
        ("[1, 2]", ""),
        ("", ""),
        ("[" * 20_000, ""),
    ],
)
def test_a_malformed_call_is_passed_on_as_it_is(inside: str, name: str) -> None:
    parser = parse(f"<tool_call>{inside}</tool_call>done")
    assert found(parser) == [(name, inside.strip())]
    assert parser.text == "done"


def test_an_unended_call_is_passed_on() -> None:
    assert found(parse('<tool_call>{"name": "python", "argum')) == [
        ("python", '{"name": "python", "argum')
    ]
    assert found(parse(CALL.removesuffix("</tool_call>"))) == [("python", '{"code": "print(1)"}')]


def test_arguments_in_quotes_are_taken_out() -> None:
    text = json.dumps({"name": "python", "arguments": '{"code": "1"}'})
    assert found(parse(f"<tool_call>{text}</tool_call>")) == [("python", '{"code": "1"}')]


def test_arguments_stream_while_they_are_written() -> None:
    parser = ReplyParser(TOOLS)
    parser.feed('<tool_call>\n{"name": "python", "arguments": {"co')
    (delta,) = parser.feed('de": "pri')
    assert delta == CallDelta(index=0, arguments_text='de": "pri')


@given(
    before=st.text(st.sampled_from('ab <{\n"t'), max_size=20),
    code=st.text(st.sampled_from('x\\"\n{}[]</tool_call>é'), max_size=30),
    size=st.integers(1, 9),
)
def test_pieces_do_not_matter(before: str, code: str, size: int) -> None:
    arguments = json.dumps({"code": code}, ensure_ascii=False)
    text = f'{before}<tool_call>{{"name": "python", "arguments": {arguments}}}</tool_call>'
    whole, cut = parse(text), parse(text, size=size)
    assert found(whole) == found(cut) == [("python", arguments)]
    assert whole.text == cut.text == before.strip()


@given(
    text=st.text(st.sampled_from('<>/tol_cahink{}":,nme \n\\'), max_size=60), size=st.integers(1, 5)
)
def test_any_text_is_parsed_alike_in_any_pieces(text: str, size: int) -> None:
    whole, cut = parse(text), parse(text, size=size)
    assert (whole.text, whole.reasoning, found(whole)) == (cut.text, cut.reasoning, found(cut))
