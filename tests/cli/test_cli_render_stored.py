"""What `agent runs show` prints of a stored run."""

import io
from collections.abc import Sequence
from pathlib import Path

from wardian import RunStore
from wardian.cli.render_stored import StoredRenderer
from wardian.cli.terminal import terminal
from wardian.events import CallFinished, CallStarted, ModelReplied, Recorded
from wardian.importing import import_file
from wardian.types import Finish, Message, Reply, Role
from wardian_tools.types import ResultStatus, ToolCall, ToolResult

ROW = r"""{"messages": [{"role": "user", "content": "go"}, {"role": "assistant", "tool_calls": [
  {"id": "a", "function": {"name": "read_file", "arguments": "{\"path\": \"\u001b[31m</script>%s"}},
  {"id": "b", "function": {"name": "shell", "arguments": "{\"command\": \"ls\"}"}},
  {"id": "c", "function": {"name": "shell", "arguments": "{\"command\": \"pwd\"}"}}]},
 {"role": "tool", "tool_call_id": "c", "content": "/"},
 {"role": "assistant", "content": "ok"}]}"""


def shown(events: Sequence[Recorded]) -> list[str]:
    stream = io.StringIO()
    page = StoredRenderer(terminal(stream), stream, events)
    for event in events:
        page.on(event)
    return stream.getvalue().splitlines()


def test_an_imported_call_without_a_result_is_shown_bounded_and_escaped(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(ROW % ("x" * 5_000))
    store = RunStore(tmp_path / "runs")
    import_file(store, tmp_path / "rows.json", format_name="openai")
    _, malformed, problem, *others = shown(store.load("last").events)
    assert malformed.startswith(r'[1] read_file: {"path": "\x1b[31m</script>xxx')
    assert len(malformed) < 200
    assert problem == "[1] -> no result: The arguments were no JSON object."
    assert others == [
        "[1] shell: ls",
        "[1] -> no result",
        "[1] shell: pwd",
        "[1] -> ok (0.00 s): /",
    ]


def test_of_two_calls_only_the_one_that_was_cut_off_has_no_result() -> None:
    calls = tuple(ToolCall(id=name, name=name, arguments_text="") for name in ("one", "two"))
    message = Message(role=Role.ASSISTANT, content="", calls=calls)
    result = ToolResult(call_id="one", name="one", status=ResultStatus.OK, content="1")
    events: list[Recorded] = [
        ModelReplied(step=1, reply=Reply(message=message, finish=Finish.CALLS), seconds=0.0),
        CallStarted(step=1, call_id="one", name="one", repeatable=False),
        CallFinished(step=1, result=result),
        CallStarted(step=1, call_id="two", name="two", repeatable=False),
    ]
    assert shown(events) == [
        "[1] one:",
        "[1] -> ok (0.00 s): 1",
        "[1] two:",
        "[1] -> no result",
    ]


def test_a_call_that_no_reply_has_is_shown_by_its_name() -> None:
    events = [CallStarted(step=1, call_id="?", name="\x1b[2J", repeatable=False)]
    assert shown(events) == [r"[1] \x1b[2J:", "[1] -> no result"]


def test_a_call_that_its_tool_refuses_is_shown_once() -> None:
    call = ToolCall(id="one", name="one", arguments_text="{}", arguments={})
    message = Message(role=Role.ASSISTANT, content="", calls=(call,))
    result = ToolResult(call_id="one", name="one", status=ResultStatus.DENIED, content="Changed.")
    events: list[Recorded] = [
        ModelReplied(step=1, reply=Reply(message=message, finish=Finish.CALLS), seconds=0.0),
        CallStarted(step=1, call_id="one", name="one", repeatable=False),
        CallFinished(step=1, result=result),
    ]
    assert shown(events) == ["[1] one:", "[1] -> denied (0.00 s): Changed."]
    del events[1]  # by the policy, so that it never began
    assert shown(events) == ["[1] one:", "[1] -> denied (0.00 s): Changed."]
