"""No text can act on the terminal or hide in it."""

import io
import tomllib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.cli.approve_edit import as_toml
from wardian.cli.render import PlainRenderer
from wardian.cli.sanitise import VisibleStream, is_hidden, one_line, visible
from wardian.cli.terminal import Terminal
from wardian.events import CallFinished, CallStarted, ModelReplied
from wardian.types import Finish, Message, Reply, Role
from wardian_tools.types import ResultStatus, ToolCall, ToolResult

HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x1b\x07\r\n\t\x9b\x7f\u202e\u2066\u200b\u2028\ufeff\U000e0041\ud800"),
    )
)


@given(HOSTILE)
def test_no_control_or_format_character_survives(text: str) -> None:
    shown = visible(text)
    assert not any(is_hidden(character) for character in shown)
    assert {unicodedata.category(c) for c in shown if c not in "\n\t"}.isdisjoint(
        {"Cc", "Cf", "Cs", "Zl", "Zp"}
    )


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"], exclude_characters="\u3164\uffa0")))
def test_letters_digits_and_punctuation_are_left_alone(text: str) -> None:
    plain = "".join(c for c in text if not is_hidden(c))
    assert visible(plain) == plain


@given(HOSTILE, st.integers(0, 5))
def test_text_in_pieces_is_shown_as_the_whole_text_would_be(text: str, size: int) -> None:
    stream = VisibleStream()
    step = size + 1
    pieces = [stream.feed(text[i : i + step]) for i in range(0, len(text), step)]
    assert "".join([*pieces, stream.end()]) == visible(text)


@given(HOSTILE, st.integers(4, 40))
def test_one_line_is_one_line_and_no_longer_than_asked(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb", "a\\x0db"),
        ("a\r\nb", "a\nb"),
        ("\x9b2J", "\\x9b2J"),
        ("user\u202egpj.exe", "user\\u202egpj.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("[bold]no markup[/bold]", "[bold]no markup[/bold]"),
        ("naïve 日本 ✓", "naïve 日本 ✓"),
    ],
)
def test_known_tricks_become_visible(raw: str, shown: str) -> None:
    assert visible(raw) == shown


@given(
    st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\u202e\n\x1b")))
)
def test_a_call_to_edit_hides_nothing_from_its_editor_and_stays_what_it_is(text: str) -> None:
    draft = as_toml({"content": text, "path": "a"})
    assert not any(map(is_hidden, draft))
    assert tomllib.loads(draft)["content"] == text


def test_results_of_calls_side_by_side_say_whose_they_are() -> None:
    stream = io.StringIO()
    renderer = PlainRenderer(Terminal(is_tty=False, colour=False, unicode=True, width=80), stream)
    calls = tuple(
        ToolCall(id=name, name="critic", arguments_text="{}", arguments={"task": name})
        for name in ("a", "b")
    )
    message = Message(role=Role.ASSISTANT, content="", calls=calls)
    reply = Reply(message=message, finish=Finish.CALLS, model="x")
    renderer.on(ModelReplied(step=1, reply=reply, seconds=0.0))
    for call in calls:
        renderer.on(CallStarted(step=1, call_id=call.id, name="critic", repeatable=False))
    for call in calls:
        result = ToolResult(call_id=call.id, name="critic", status=ResultStatus.OK, content="Poor.")
        renderer.on(CallFinished(step=1, result=result))
    assert stream.getvalue().splitlines()[-2:] == [
        '[1] → ok (0.00 s) of critic task="a": Poor.',
        '[1] → ok (0.00 s) of critic task="b": Poor.',
    ]
