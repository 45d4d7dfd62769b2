import asyncio
import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from pydantic import BaseModel

from wardian_sandbox.errors import SandboxLost
from wardian_sandbox.types import (
    Confinement,
    Egress,
    ExecResult,
    FileChange,
    FileFailure,
    Job,
    JobResult,
    SandboxIdentity,
)
from wardian_tools import (
    MAX_RESULT_CHARS,
    Confidentiality,
    Integrity,
    Output,
    Registry,
    ResultStatus,
    ToolCall,
    ToolContext,
    ToolResult,
    canonical_json,
    run_call,
    tool,
)


class NoSandbox:
    """A box for tools that need none; using it fails the test."""

    identity = SandboxIdentity(backend="none", enforced=())

    async def python(self, code: str, within: Confinement) -> ExecResult:
        raise AssertionError(code)

    async def shell(self, command: str, within: Confinement) -> ExecResult:
        raise AssertionError(command)

    async def file(
        self, operation: str, arguments: dict[str, Any], within: Confinement
    ) -> dict[str, Any] | FileFailure:
        raise AssertionError(operation)

    async def show(self, paths: Sequence[str]) -> None:
        raise AssertionError(paths)

    async def job(self, job: Job, egress: Egress) -> JobResult:
        raise AssertionError(job)

    async def diff(self) -> tuple[FileChange, ...]:
        return ()

    async def close(self) -> None: ...


async def running(function: Callable[..., Any], arguments_text: str = "") -> ToolResult:
    made = tool(function)
    call = ToolCall(id="c7", name=made.name, arguments_text=arguments_text)
    context = ToolContext(sandbox=NoSandbox(), within=Confinement(), call_id=call.id)
    return await run_call(made, Registry([made]).parse(call), context)


def run(function: Callable[..., Any], arguments_text: str = "") -> ToolResult:
    return asyncio.run(running(function, arguments_text))


class Colour(StrEnum):
    RED = "red"


class Point(BaseModel):
    x: int


@dataclass
class Pair:
    point: Point
    colour: Colour


def test_a_function_gets_the_python_values_its_annotations_ask_for() -> None:
    seen: list[object] = []

    async def take(point: Point, colours: set[Colour], limit: int = 3) -> None:
        seen.extend([point, colours, limit])

    assert run(take, '{"point": {"x": "1"}, "colours": ["red"]}').status is ResultStatus.OK
    assert seen == [Point(x=1), {Colour.RED}, 3]


def test_a_sync_function_runs_outside_the_event_loop_s_thread() -> None:
    def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert run(where).content == "false"


def test_an_async_function_behind_a_plain_wrapper_is_awaited() -> None:
    async def inner() -> str:
        return "inner"

    @functools.wraps(inner)
    def outer() -> object:
        return inner()

    assert run(outer).content == "inner"


def test_the_result_names_its_call() -> None:
    def nothing() -> None: ...

    result = run(nothing)
    assert (result.call_id, result.name, result.content) == ("c7", "nothing", "(no output)")


def test_a_result_is_untrusted_and_private_unless_its_tool_says_otherwise() -> None:
    def plain() -> str:
        return "x"

    def labelled() -> Output:
        return Output(
            content="x", integrity=Integrity.TRUSTED, confidentiality=Confidentiality.PUBLIC
        )

    unlabelled = run(plain)
    assert unlabelled.integrity is Integrity.UNTRUSTED
    assert unlabelled.confidentiality is Confidentiality.PRIVATE
    assert run(labelled).integrity is Integrity.TRUSTED
    assert run(labelled).confidentiality is Confidentiality.PUBLIC


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text", "text"),
        ("", ""),
        (None, "(no output)"),
        (3, "3"),
        ({"ä": [1, None]}, '{"ä":[1,null]}'),
        (Pair(Point(x=1), Colour.RED), '{"point":{"x":1},"colour":"red"}'),
        (float("nan"), '"NaN"'),
        ("\ud800", "?"),
    ],
    ids=repr,
)
def test_what_a_function_returns_becomes_text(value: object, content: str) -> None:
    def give() -> object:
        return value

    result = run(give)
    assert (result.status, result.content) == (ResultStatus.OK, content)


@pytest.mark.parametrize(
    "value", [object(), {1: object()}, b"\xff"], ids=["an object", "an object within", "bytes"]
)
def test_a_value_that_is_not_json_is_an_error_result(value: object) -> None:
    def give() -> object:
        return value

    assert run(give).status is ResultStatus.ERROR


@pytest.mark.parametrize(
    "value",
    [object(), float("nan"), "\ud800"],
    ids=["an object", "not a number", "half a character"],
)
def test_data_that_is_not_json_is_an_error_result(value: object) -> None:
    def give() -> Output:
        return Output(content="x", data={"value": value})

    result = run(give)
    assert result.status is ResultStatus.ERROR
    canonical_json(result.data)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "content"),
    [
        (ValueError("no such city"), "ValueError: no such city"),
        (KeyError("k"), "KeyError: 'k'"),
        (TimeoutError(), "TimeoutError"),
        (SystemExit(3), "SystemExit: 3"),
        (StopIteration(), "RuntimeError: the tool raised StopIteration"),
        (Unprintable(), "Unprintable"),
        (ExceptionGroup("g", [ValueError("a"), KeyError("b")]), "ValueError: a; KeyError: 'b'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_exception_is_an_error_result_with_type_and_message(
    error: BaseException, content: str
) -> None:
    def fail() -> None:
        raise error

    result = run(fail)
    assert (result.status, result.content) == (ResultStatus.ERROR, content)


def test_the_message_of_an_exception_is_bounded() -> None:
    def fail() -> None:
        raise ValueError("x" * 1_000_000)

    assert len(run(fail).content) < 1_100


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: ExceptionGroup("g", [e])])
def test_a_lost_sandbox_is_not_a_result(wrap: Callable[[Exception], Exception]) -> None:
    async def fail() -> None:
        raise wrap(SandboxLost("The box died."))

    with pytest.raises(SandboxLost):
        run(fail)


def test_cancelling_a_running_call_cancels_its_tool() -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("yes")

    async def scenario() -> None:
        task = asyncio.create_task(running(wait))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert ended == ["yes"]


def test_a_tool_that_raises_cancelled_by_itself_does_not_end_the_run() -> None:
    async def fail() -> None:
        raise asyncio.CancelledError

    assert run(fail).status is ResultStatus.ERROR


def test_a_call_with_a_problem_is_answered_and_never_runs() -> None:
    ran: list[int] = []

    def take(value: int) -> None:
        ran.append(value)

    result = run(take, '{"value": "x"}')
    assert result.status is ResultStatus.MALFORMED
    assert "value should be a valid integer" in result.content
    assert ran == []


def test_a_long_result_keeps_its_head_and_tail_and_says_what_is_missing() -> None:
    def much() -> str:
        return "a" * 50_000 + "b" * 50_000

    content = run(much).content
    assert len(content) <= MAX_RESULT_CHARS
    head, said, tail = content.partition(" characters left out]\n")
    assert (head[0], tail[-1]) == ("a", "b")
    left_out = int(head.rsplit("[", 1)[1])
    assert left_out == 100_000 - head.count("a") - tail.count("b")
    assert said


def test_a_result_of_exactly_the_limit_is_whole() -> None:
    def much() -> str:
        return "a" * MAX_RESULT_CHARS

    assert run(much).content == "a" * MAX_RESULT_CHARS


def test_equal_values_have_one_canonical_text() -> None:
    assert canonical_json({"b": 1, "a": ["ä"]}) == canonical_json({"a": ["ä"], "b": 1})
    assert canonical_json({"b": 1, "a": ["ä"]}) == '{"a":["ä"],"b":1}'
