"""The built-in tools end to end: a model's call, parsed, run in a real bubblewrap box."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from wardian_sandbox import open_sandbox
from wardian_sandbox.types import Confinement, ResourceLimits
from wardian_tools import (
    MAX_RESULT_CHARS,
    Registry,
    ResultStatus,
    ToolCall,
    ToolContext,
    ToolResult,
    builtin_tools,
    run_call,
)

REGISTRY = Registry(builtin_tools())
Call = tuple[str, dict[str, object]]
RESTARTED = "[the interpreter was restarted: earlier variables are gone]"


def run(workspace: Path, *calls: Call, within: Confinement | None = None) -> list[ToolResult]:
    """The results of `calls`, one after the other in one box around `workspace`."""
    within = within or Confinement(limits=ResourceLimits(wall_seconds=20.0))

    async def scenario() -> list[ToolResult]:
        box = await open_sandbox("bubblewrap", workspace, within, mode="mount")
        try:
            results: list[ToolResult] = []
            for n, (name, arguments) in enumerate(calls):
                tool = REGISTRY.get(name)
                assert tool is not None
                text = json.dumps(arguments)
                call = REGISTRY.parse(ToolCall(id=f"c{n}", name=name, arguments_text=text))
                assert call.problem is None, call.problem
                context = ToolContext(sandbox=box, within=within, call_id=call.id)
                results.append(await run_call(tool, call, context))
            return results
        finally:
            await box.close()

    return asyncio.run(scenario())


def contents(workspace: Path, *calls: Call) -> list[str]:
    return [result.content for result in run(workspace, *calls)]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "notes.txt").write_text("alpha\nbeta\ngamma\n")
    (folder / "src").mkdir()
    (folder / "src" / "main.py").write_text("print('beta')\n")
    return folder


def test_python_keeps_its_variables_between_calls(workspace: Path) -> None:
    shown = contents(
        workspace,
        ("python", {"code": "x = 20\nprint('set')"}),
        ("python", {"code": "x + 1"}),
        ("python", {"code": "None"}),
    )
    assert shown == ["set", "21", "(no output)"]


def test_python_shows_output_and_value_in_order(workspace: Path) -> None:
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\n'value'"
    assert contents(workspace, ("python", {"code": code})) == ["out\nerr\n'value'"]


def test_python_shows_a_traceback_of_the_model_s_code_only(workspace: Path) -> None:
    (result,) = run(workspace, ("python", {"code": "def f():\n    return 1 / 0\nf()"}))
    assert result.status is ResultStatus.ERROR
    assert result.content.startswith("Traceback (most recent call last):\n")
    assert result.content.endswith("ZeroDivisionError: division by zero")
    assert "wardian" not in result.content


def test_python_reads_the_workspace_by_relative_path(workspace: Path) -> None:
    code = "print(len(open('notes.txt').read().split()))"
    assert contents(workspace, ("python", {"code": code})) == ["3"]


def test_an_interpreter_that_died_is_said_to_have_been_restarted(workspace: Path) -> None:
    died, after = run(
        workspace,
        ("python", {"code": "x = 1\nimport os\nos._exit(7)"}),
        ("python", {"code": "'x' in globals()"}),
    )
    assert died.content == f"[exit code 7]\n{RESTARTED}"
    assert died.status is ResultStatus.ERROR
    assert after.content == "False"


def test_code_that_does_not_end_is_stopped_and_said_so(workspace: Path) -> None:
    short = Confinement(limits=ResourceLimits(wall_seconds=0.5))
    (result,) = run(workspace, ("python", {"code": "while True: pass"}), within=short)
    assert result.content.startswith("[stopped after 0.5 s: time limit]")
    assert result.status is ResultStatus.ERROR


def test_shell_shows_output_and_exit_code(workspace: Path) -> None:
    shown = run(
        workspace,
        ("shell", {"command": "wc -l < notes.txt"}),
        ("shell", {"command": "echo gone >&2; exit 3"}),
        ("shell", {"command": "true"}),
        ("shell", {"command": "sleep 20", "timeout_seconds": 1}),
    )
    assert [result.content for result in shown] == [
        "3",
        "gone\n[exit code 3]",
        "(no output)",
        "[stopped after 1 s: time limit]",
    ]
    assert [result.status.value for result in shown] == ["ok", "error", "ok", "error"]


def test_read_file_shows_all_or_a_range(workspace: Path) -> None:
    (workspace / "empty").write_text("")
    assert contents(
        workspace,
        ("read_file", {"path": "notes.txt"}),
        ("read_file", {"path": "notes.txt", "start_line": 2, "end_line": 2}),
        ("read_file", {"path": "notes.txt", "start_line": 2}),
        ("read_file", {"path": "notes.txt", "end_line": 900}),
        ("read_file", {"path": "empty"}),
    ) == [
        "alpha\nbeta\ngamma",
        "beta\n[lines 2-2 of 3]",
        "beta\ngamma\n[lines 2-3 of 3]",
        "alpha\nbeta\ngamma",
        "(empty file)",
    ]


def test_a_big_file_is_shown_from_its_start_by_whole_lines(workspace: Path) -> None:
    (workspace / "big.txt").write_text("".join(f"line {n}\n" for n in range(1, 200_001)))
    (content,) = contents(workspace, ("read_file", {"path": "big.txt"}))
    assert len(content) <= MAX_RESULT_CHARS
    assert "left out" not in content
    *lines, note = content.split("\n")
    assert lines[0] == "line 1"
    assert note == f"[lines 1-{len(lines)} of 200000]"
    assert lines[-1] == f"line {len(lines)}"


def test_one_long_line_is_cut_and_said_so(workspace: Path) -> None:
    (workspace / "long.txt").write_text("x" * 100_000)
    (content,) = contents(workspace, ("read_file", {"path": "long.txt"}))
    assert content.endswith("\n[lines 1-1 of 1, the last one cut]")


@pytest.mark.parametrize(
    ("make", "call", "code"),
    [
        (lambda w: None, ("read_file", {"path": "none.txt"}), "missing"),
        (lambda w: None, ("read_file", {"path": "src"}), "is_directory"),
        (lambda w: None, ("read_file", {"path": "/etc/passwd"}), "outside"),
        (lambda w: None, ("read_file", {"path": "../../etc/passwd"}), "outside"),
        (lambda w: (w / "b").write_bytes(b"\x00\xff"), ("read_file", {"path": "b"}), "binary"),
        (
            lambda w: (w / "link").symlink_to("/etc/passwd"),
            ("write_file", {"path": "link", "content": "x"}),
            "outside",
        ),
        (
            lambda w: None,
            ("edit_file", {"path": "notes.txt", "old": "delta", "new": "x"}),
            "no_match",
        ),
        (
            lambda w: None,
            ("edit_file", {"path": "notes.txt", "old": "a", "new": "x"}),
            "many_matches",
        ),
        (lambda w: None, ("list_files", {"path": "none"}), "missing"),
        (lambda w: None, ("search_files", {"pattern": "("}), "invalid"),
    ],
)
def test_a_file_operation_that_cannot_be_done_is_an_error_with_its_code(
    workspace: Path, make: Callable[[Path], object], call: Call, code: str
) -> None:
    make(workspace)
    before = sorted(p.read_bytes() for p in workspace.rglob("*.*") if p.is_file())
    (result,) = run(workspace, call)
    assert (result.status, result.data["code"]) == (ResultStatus.ERROR, code), result.content
    assert 0 < len(result.content) < 2_000
    assert sorted(p.read_bytes() for p in workspace.rglob("*.*") if p.is_file()) == before


def test_write_file_creates_folders_and_says_what_it_did(workspace: Path) -> None:
    assert contents(
        workspace,
        ("write_file", {"path": "new/deep/a.txt", "content": "größe\n"}),
        ("write_file", {"path": "new/deep/a.txt", "content": ""}),
        ("write_file", {"path": "notes.txt", "content": "x"}),
    ) == [
        "created new/deep/a.txt, 8 bytes",
        "wrote 0 bytes to new/deep/a.txt",
        "wrote 1 bytes to notes.txt",
    ]
    assert (workspace / "notes.txt").read_text() == "x"


def test_edit_file_changes_the_file_and_shows_the_diff(workspace: Path) -> None:
    (content,) = contents(
        workspace, ("edit_file", {"path": "notes.txt", "old": "beta", "new": "delta"})
    )
    assert "\n-beta\n+delta\n" in content
    assert content.endswith(" gamma")
    assert (workspace / "notes.txt").read_text() == "alpha\ndelta\ngamma\n"


def test_edit_file_keeps_mode_line_ends_and_byte_order_mark(workspace: Path) -> None:
    script = workspace / "run.bat"
    script.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\nthree")
    script.chmod(0o755)
    run(workspace, ("edit_file", {"path": "run.bat", "old": "one\ntwo", "new": "1\n2"}))
    assert script.read_bytes() == b"\xef\xbb\xbf1\r\n2\r\nthree"
    assert script.stat().st_mode & 0o777 == 0o755


def test_list_files_shows_one_path_a_line_and_marks_folders(workspace: Path) -> None:
    (workspace / "void").mkdir()
    assert contents(
        workspace,
        ("list_files", {}),
        ("list_files", {"pattern": "**/*.py"}),
        ("list_files", {"path": "src"}),
        ("list_files", {"path": "void"}),
    ) == ["notes.txt\nsrc/\nvoid/", "src/main.py", "src/main.py", "(no files)"]


def test_search_files_shows_path_line_and_text(workspace: Path) -> None:
    assert contents(
        workspace,
        ("search_files", {"pattern": "bet."}),
        ("search_files", {"pattern": "beta", "glob": "*.py"}),
        ("search_files", {"pattern": "BETA", "path": "notes.txt", "ignore_case": True}),
        ("search_files", {"pattern": "omega"}),
    ) == [
        "notes.txt:2:beta\nsrc/main.py:1:print('beta')",
        "src/main.py:1:print('beta')",
        "notes.txt:2:beta",
        "(no matches)",
    ]


def test_long_lists_end_with_a_line_that_says_so(workspace: Path) -> None:
    for n in range(600):
        (workspace / f"f{n:03}.log").write_text("hit\n")
    listed, found = contents(workspace, ("list_files", {}), ("search_files", {"pattern": "hit"}))
    assert listed.endswith("\n[more not shown]")
    assert found.endswith("\n[more not shown]")
