"""Approving a built tool at the terminal: everything shown, nothing by accident."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

Command = Callable[..., CompletedProcess[str]]
HIDDEN = "\x1b[8mimport os\x1b[0m \u202e[bold]"
TOOL = f'''\
from wardian import tool


@tool(effects={{"reads"}})
def first_line(path: str) -> str:
    """Give a file's first line.

    Args:
        path: File path, relative to the workspace.
    """
    # {HIDDEN}
    with open(path) as file:
        return file.readline().rstrip()
'''
TESTS = """\
from tool import first_line


def test_it_is_the_first():
    with open("x.txt", "w") as file:
        file.write("a\\nb")
    assert first_line("x.txt") == "a"
"""


@pytest.fixture
def written(workspace: Path) -> Path:
    folder = workspace / "first_line"
    folder.mkdir()
    (folder / "tool.py").write_text(TOOL, encoding="utf-8")
    (folder / "test_tool.py").write_text(TESTS)
    return folder


@pytest.mark.usefixtures("written")
def test_all_of_the_code_is_shown_as_it_is_and_a_yes_keeps_it(
    screen: Callable[..., Any], agent: Command
) -> None:
    shown = screen("tool", "add", "first_line")
    shown.type("y\n")  # before the question: it does not count
    shown.wait_for("Keep first_line as a tool for every run? [y/N]")
    assert "\x1b[8m" not in shown.seen
    assert "# \\x1b[8mimport os\\x1b[0m \\u202e[bold]" in shown.text
    assert "It may read the workspace, and change nothing. No network." in shown.text
    assert "1 test passed in two fresh boxes" in shown.text
    shown.type("y\n")
    assert shown.exit_code() == 0
    ran = agent("tool", "run", "first_line", "a.txt")
    assert (ran.returncode, ran.stdout) == (0, "one\n"), ran.stderr


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("answer", ["\n", "\x04"])
def test_anything_but_a_clear_yes_keeps_nothing(
    answer: str, screen: Callable[..., Any], agent: Command
) -> None:
    shown = screen("tool", "add", "first_line")
    shown.wait_for("[y/N]")
    shown.type(answer)
    assert shown.exit_code() == 6
    assert agent("tool", "list").stdout == ""


@pytest.mark.usefixtures("written")
def test_a_tool_sees_the_folder_it_is_given_and_no_other(agent: Command, tmp_path: Path) -> None:
    assert agent("tool", "add", "first_line", "--yes").returncode == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.txt").write_text("elsewhere\n")
    there = agent("tool", "run", "-w", str(tmp_path / "other"), "first_line", "b.txt")
    assert there.stdout == "elsewhere\n"
    outside = agent("tool", "run", "first_line", str(tmp_path / "other" / "b.txt"))
    assert outside.returncode == 6
    assert "not a relative path inside the workspace" in outside.stderr


@pytest.mark.usefixtures("written")
def test_the_policy_can_deny_a_built_tool_on_the_command_line_too(
    agent: Command, tmp_path: Path
) -> None:
    assert agent("tool", "add", "first_line", "--yes").returncode == 0
    policy = tmp_path / "p.toml"
    policy.write_text('extends = "default"\n[tools]\ndeny = ["first_line"]\n')
    denied = agent("tool", "run", "first_line", "a.txt", env={"WARDIAN_POLICY": str(policy)})
    assert denied.returncode == 6
    assert "p.toml:3" in denied.stderr
    explained = agent("policy", "explain", "first_line(a.txt)", "--policy", str(policy))
    assert explained.stdout.startswith("deny: deny first_line"), explained.stderr


def test_a_name_of_ours_cannot_be_taken(agent: Command, written: Path) -> None:
    source = TOOL.replace("first_line", "read_file")
    (written / "tool.py").write_text(source, encoding="utf-8")
    (written / "test_tool.py").write_text(TESTS.replace("first_line", "read_file"))
    refused = agent("tool", "add", "first_line", "--yes")
    assert refused.returncode == 3
    assert "comes with Wardian" in refused.stderr
