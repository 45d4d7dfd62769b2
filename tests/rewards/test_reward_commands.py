"""Graders that run, in a box of their own, on a copy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian.events import RunFinished
from wardian.rewards.commands import CommandExit, HiddenTests
from wardian.rewards.types import GradingFailed, Reward
from wardian.types import Stop, Usage

Grade = Callable[..., Reward]
TEST = """\
import subprocess, sys
said = subprocess.run([sys.executable, "add.py", "2", "3"], capture_output=True, text=True)
assert said.stdout.strip() == "5", said
print("1 passed")
"""
TESTS: dict[str, Any] = {
    "files": {"tests/check.py": TEST},
    "command": "python3 tests/check.py",
    "sandbox": "bubblewrap",
}
RIGHT = "import sys; print(int(sys.argv[1]) + int(sys.argv[2]))"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


def ended(*changed: str) -> RunFinished:
    return RunFinished(
        stop=Stop.DONE,
        answer="",
        steps=1,
        tool_calls=0,
        usage=Usage(),
        seconds=0.0,
        changes=tuple({"path": path, "kind": "modified"} for path in changed),
    )


@pytest.mark.parametrize(
    ("code", "value"),
    [(RIGHT, 1.0), ("print(4)", 0.0), ("raise SystemExit(0)", 0.0), ("while True: pass", 0.0)],
    ids=["right", "wrong", "nothing said", "endless"],
)
def test_hidden_tests_pass_what_is_right_alone(
    grade: Grade, workspace: Path, code: str, value: float
) -> None:
    (workspace / "add.py").write_text(code)
    reward = grade(HiddenTests(**TESTS, seconds=3.0), workspace=workspace)
    assert reward.value == value, reward.detail


def test_what_ends_well_without_a_word_of_tests_passed_nothing(
    grade: Grade, workspace: Path
) -> None:
    lazy = TESTS | {"files": {"tests/check.py": "import os; os._exit(0)"}}
    reward = grade(HiddenTests(**lazy), workspace=workspace)
    assert reward.value == 0.0
    assert "does not say that tests ran" in reward.detail["problem"]


def test_the_workspace_is_as_it_was_after_grading(grade: Grade, workspace: Path) -> None:
    (workspace / "add.py").write_text(RIGHT)
    grade(HiddenTests(**TESTS), workspace=workspace)
    grade(CommandExit(command="rm -f add.py", sandbox="bubblewrap"), workspace=workspace)
    assert [path.name for path in workspace.iterdir()] == ["add.py"]


@pytest.mark.parametrize("plant", ["file", "link", "folder"])
def test_what_a_run_put_in_a_test_s_place_is_replaced_and_named(
    grade: Grade, workspace: Path, tmp_path: Path, plant: str
) -> None:
    (workspace / "add.py").write_text(RIGHT)
    (workspace / "tests").mkdir()
    place = workspace / "tests" / "check.py"
    outside = tmp_path / "outside.py"
    outside.write_text("mine")
    if plant == "file":
        place.write_text("print('1 passed')")
    elif plant == "link":
        place.symlink_to(outside)
    else:
        place.mkdir()
    events = [ended("add.py", "tests/check.py", "conftest.py")]
    reward = grade(HiddenTests(**TESTS), workspace=workspace, events=events)
    assert reward.value == 1.0
    assert reward.suspicions == (
        "The run wrote tests/check.py, where a hidden test belongs.",
        "The run changed conftest.py, which can change what tests do.",
    )
    assert outside.read_text() == "mine"


@pytest.mark.parametrize(
    ("command", "options", "value"),
    [
        ("true", {}, 1.0),
        ("exit 3", {}, 0.0),
        ("exit 3", {"exit_code": 3}, 1.0),
        ("echo yes", {"prints": "yes"}, 1.0),
        ("echo no", {"prints": "yes"}, 0.0),
    ],
)
def test_a_command_s_exit_and_output_decide(
    grade: Grade, workspace: Path, command: str, options: dict[str, Any], value: float
) -> None:
    verifier = CommandExit(command=command, sandbox="bubblewrap", **options)
    assert grade(verifier, workspace=workspace).value == value


def test_a_grader_without_a_box_gives_no_reward(grade: Grade, workspace: Path) -> None:
    with pytest.raises(GradingFailed, match="could not run"):
        grade(CommandExit(command="true", sandbox="no such thing"), workspace=workspace)
