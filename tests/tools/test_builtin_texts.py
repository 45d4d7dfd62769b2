"""The exact texts of the built-in tools: the model shipped with the package is trained on them."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from wardian_sandbox.types import (
    Artefact,
    Confinement,
    Egress,
    Ending,
    ExecResult,
    FileChange,
    FileFailure,
    FileReference,
    Job,
    JobResult,
    Limit,
    ResourceLimits,
    SandboxIdentity,
)
from wardian_tools import (
    Registry,
    ResultStatus,
    ToolCall,
    ToolContext,
    ToolResult,
    builtin_tools,
    canonical_json,
    run_call,
)

FIGURE = Artefact(
    reference=FileReference(
        path="figure-1.png", size_bytes=12_345, mime="image/png", sha256="ab" * 32
    ),
    content=b"\x89PNG",
)
LOST = "[the interpreter was restarted: earlier variables are gone]"
LEFT_RUNNING = "[{} left running, ended with the call: start and use a program in one call]"
REGISTRY = Registry(builtin_tools())


class AnsweringSandbox:
    """A box that gives one prepared answer, and keeps what it was asked."""

    identity = SandboxIdentity(backend="none", enforced=())

    def __init__(self, answer: ExecResult | FileFailure | dict[str, Any]) -> None:
        self.answer = answer
        self.asked: list[Any] = []
        self.within = Confinement()

    async def python(self, code: str, within: Confinement) -> ExecResult:
        self.asked.append(code)
        self.within = within
        assert isinstance(self.answer, ExecResult)
        return self.answer

    async def shell(self, command: str, within: Confinement) -> ExecResult:
        self.asked.append(command)
        self.within = within
        assert isinstance(self.answer, ExecResult)
        return self.answer

    async def file(
        self, operation: str, arguments: dict[str, Any], within: Confinement
    ) -> dict[str, Any] | FileFailure:
        self.asked.append((operation, arguments))
        self.within = within
        assert not isinstance(self.answer, ExecResult)
        return self.answer

    async def show(self, paths: Sequence[str]) -> None:
        raise AssertionError(paths)

    async def job(self, job: Job, egress: Egress) -> JobResult:
        raise AssertionError(job)

    async def diff(self) -> tuple[FileChange, ...]:
        return ()

    async def close(self) -> None: ...


def ask(box: AnsweringSandbox, name: str, /, **arguments: object) -> ToolResult:
    made = REGISTRY.get(name)
    assert made is not None
    call = ToolCall(id="c", name=name, arguments_text=canonical_json(arguments))
    parsed = REGISTRY.parse(call)
    assert parsed.problem is None, parsed.problem
    within = Confinement(limits=ResourceLimits(wall_seconds=60.0))
    context = ToolContext(sandbox=box, within=within, call_id="c")
    return asyncio.run(run_call(made, parsed, context))


def ended(
    output: str = "", *, ending: Ending = Ending.EXITED, exit_code: int = 0, **more: Any
) -> ExecResult:
    return ExecResult(ending=ending, exit_code=exit_code, output=output, **more)


@pytest.mark.parametrize(
    ("result", "content", "status"),
    [
        (ended(), "(no output)", "ok"),
        (ended("\n"), "(no output)", "ok"),
        (ended("a\n"), "a", "ok"),
        (ended(" a\n\n"), " a\n", "ok"),
        (ended(value="3"), "3", "ok"),
        (ended("a\n", value="'b'"), "a\n'b'", "ok"),
        (ended("a", exit_code=1, error="Traceback\nE: x\n"), "a\nTraceback\nE: x", "error"),
        (ended(figures=(FIGURE,)), "[figure-1.png: image/png, 12,345 bytes]", "ok"),
        (ended("a\n", state_lost=True), f"a\n{LOST}", "ok"),
        (ended("a\n", left_running=2), f"a\n{LEFT_RUNNING.format('2 processes')}", "ok"),
        (ended(left_running=1), LEFT_RUNNING.format("a process"), "ok"),
        (ended(exit_code=3, state_lost=True), f"[exit code 3]\n{LOST}", "error"),
        (
            ended("a\n", ending=Ending.TIMED_OUT, exit_code=137, state_lost=True),
            f"a\n[stopped after 60 s: time limit]\n{LOST}",
            "error",
        ),
        (
            ended(ending=Ending.SIGNALLED, exit_code=139, state_lost=True),
            f"[exit code 139]\n{LOST}",
            "error",
        ),
        (ended("a\n", ending=Ending.CANCELLED, exit_code=137), "a\n[cancelled]", "cancelled"),
    ],
)
def test_python_shows_output_then_value_then_traceback_then_how_it_ended(
    result: ExecResult, content: str, status: str
) -> None:
    shown = ask(AnsweringSandbox(result), "python", code="x")
    assert (shown.content, shown.status) == (content, status)
    assert shown.data["exit_code"] == result.exit_code
    assert shown.data["state_lost"] == result.state_lost


@pytest.mark.parametrize(
    ("result", "content", "status"),
    [
        (ended(), "(no output)", "ok"),
        (ended("  1 a.txt\n\n"), "  1 a.txt", "ok"),
        (ended("a\n", exit_code=2), "a\n[exit code 2]", "error"),
        (ended(exit_code=1), "[exit code 1]", "error"),
        (ended(ending=Ending.SIGNALLED, exit_code=137), "[exit code 137]", "error"),
        (
            ended("a\n", ending=Ending.TIMED_OUT, exit_code=137),
            "a\n[stopped after 60 s: time limit]",
            "error",
        ),
        (
            ended("a\n", ending=Ending.LIMITED, exit_code=137, limits_hit=(Limit.MEMORY,)),
            (
                "a\n[stopped]\n[memory limit of 2 GiB reached: use less at a time; files in /tmp, "
                "/dev/shm and the home folder count too]"
            ),
            "error",
        ),
        (
            ended("a\n", limits_hit=(Limit.PROCESSES,)),
            "a\n[limit of 256 processes and threads reached: start fewer at once]",
            "ok",
        ),
    ],
)
def test_shell_shows_output_then_how_it_ended(
    result: ExecResult, content: str, status: str
) -> None:
    shown = ask(AnsweringSandbox(result), "shell", command="x")
    assert (shown.content, shown.status) == (content, status)


@pytest.mark.parametrize(("asked", "given"), [(5, 5), (600, 60)])
def test_a_timeout_may_only_shorten_what_the_policy_gives(asked: int, given: int) -> None:
    box = AnsweringSandbox(ended(ending=Ending.TIMED_OUT, exit_code=137))
    shown = ask(box, "shell", command="x", timeout_seconds=asked)
    assert box.within.limits.wall_seconds == given
    assert shown.content == f"[stopped after {given} s: time limit]"


def read(text: str, first: int, last: int, total: int, *, truncated: bool = False) -> Any:
    return {
        "text": text,
        "start_line": first,
        "end_line": last,
        "total_lines": total,
        "size_bytes": len(text),
        "truncated": truncated,
    }


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        (read("a\nb\n", 1, 2, 2), "a\nb"),
        (read("a", 1, 1, 1), "a"),
        (read("\n", 1, 1, 1), ""),
        (read("", 1, 0, 0), "(empty file)"),
        (read("b\n", 2, 2, 3), "b\n[lines 2-2 of 3]"),
        (read("", 3, 2, 9), "[lines 3-2 of 9]"),
        (read("\n", 2, 2, 3), "\n[lines 2-2 of 3]"),
        (read("a\nb\n", 1, 2, 9, truncated=True), "a\nb\n[lines 1-2 of 9]"),
        (read("aaaa", 1, 1, 1, truncated=True), "aaaa\n[lines 1-1 of 1, the last one cut]"),
    ],
)
def test_read_file_shows_the_text_and_says_when_it_is_not_all(answer: Any, content: str) -> None:
    shown = ask(AnsweringSandbox(answer), "read_file", path="a.txt")
    assert (shown.content, shown.status) == (content, ResultStatus.OK)
    assert shown.data["total_lines"] == answer["total_lines"]


def test_read_file_passes_its_range_on() -> None:
    box = AnsweringSandbox(read("b", 2, 3, 3))
    ask(box, "read_file", path="a.txt", start_line=2, end_line=3)
    ((operation, arguments),) = box.asked
    assert operation == "read"
    assert arguments.items() >= {"path": "a.txt", "start_line": 2, "end_line": 3}.items()


@pytest.mark.parametrize(
    ("created", "content"), [(True, "created a.txt, 3 bytes"), (False, "wrote 3 bytes to a.txt")]
)
def test_write_file_says_whether_the_file_is_new(created: bool, content: str) -> None:
    box = AnsweringSandbox({"size_bytes": 3, "created": created})
    assert ask(box, "write_file", path="a.txt", content="abc").content == content
    assert box.asked == [("write", {"path": "a.txt", "content": "abc"})]


def test_edit_file_shows_the_diff() -> None:
    diff = "--- a.txt\n+++ a.txt\n@@ -1 +1 @@\n-a\n+b\n"
    box = AnsweringSandbox({"diff": diff, "replacements": 1})
    shown = ask(box, "edit_file", path="a.txt", old="a", new="b")
    assert shown.content == diff.removesuffix("\n")
    assert shown.data["replacements"] == 1


FILE = {"path": "a.txt", "kind": "file", "size_bytes": 1}
FOLDER = {"path": "src", "kind": "directory", "size_bytes": 0}


@pytest.mark.parametrize(
    ("entries", "truncated", "content"),
    [
        ([], False, "(no files)"),
        ([FILE, FOLDER], False, "a.txt\nsrc/"),
        ([FILE], True, "a.txt\n[more not shown]"),
    ],
)
def test_list_files_shows_one_path_a_line(entries: Any, truncated: bool, content: str) -> None:
    box = AnsweringSandbox({"entries": entries, "truncated": truncated})
    assert ask(box, "list_files").content == content


@pytest.mark.parametrize(
    ("matches", "truncated", "content"),
    [
        ([], False, "(no matches)"),
        ([{"path": "a", "line": 3, "text": "x = 1\n"}], False, "a:3:x = 1"),
        ([{"path": "a", "line": 3, "text": "x"}], True, "a:3:x\n[more not shown]"),
        ([{"path": "a", "line": 3, "text": "x" * 500}], False, "a:3:" + "x" * 400 + "…"),
    ],
)
def test_search_files_shows_path_line_and_text(matches: Any, truncated: bool, content: str) -> None:
    box = AnsweringSandbox({"matches": matches, "truncated": truncated})
    assert ask(box, "search_files", pattern="x").content == content


def test_a_list_too_long_to_show_ends_with_the_line_that_says_so() -> None:
    matches = [{"path": "a", "line": n, "text": "x" * 390} for n in range(200)]
    box = AnsweringSandbox({"matches": matches, "truncated": False})
    content = ask(box, "search_files", pattern="x").content
    assert content.endswith("\n[more not shown]")
    assert "left out" not in content


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read_file", {"path": "a"}),
        ("write_file", {"path": "a", "content": ""}),
        ("edit_file", {"path": "a", "old": "b", "new": "c"}),
        ("list_files", {"path": "a"}),
        ("search_files", {"pattern": "a"}),
    ],
)
def test_a_failed_file_operation_shows_its_message_and_keeps_its_code(
    name: str, arguments: dict[str, object]
) -> None:
    box = AnsweringSandbox(FileFailure(code="missing", message="There is no file a."))
    shown = ask(box, name, **arguments)
    assert (shown.content, shown.status) == ("There is no file a.", ResultStatus.ERROR)
    assert shown.data == {"code": "missing"}
