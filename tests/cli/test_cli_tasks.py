"""`agent tasks` as a user has it."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from wardian.cli.eval_work import Wanted, usual_split

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_suites_and_their_tasks_are_listed(agent: Command) -> None:
    suites = json.loads(agent("tasks", "list", "--json").stdout)
    assert [suite["name"] for suite in suites] == ["core", "tiny"]
    listed = agent("tasks", "list", "core", "--split", "test", "--family", "code", "--json")
    tasks = json.loads(listed.stdout)
    assert {task["family"] for task in tasks} == {"code"}
    assert {task["split"] for task in tasks} == {"test"}


def test_fresh_tasks_are_written_shown_and_proven(agent: Command, workspace: Path) -> None:
    made = agent("tasks", "new", "core", "--family", "maths", "--count", "2", "-o", "fresh")
    assert made.returncode == 0
    assert len(made.stdout.splitlines()) == 2
    task = json.loads(agent("tasks", "list", "fresh", "--json").stdout)[0]["id"]
    shown = agent("tasks", "show", "fresh", task).stdout
    assert "verifier:" in shown
    checked = agent("tasks", "check", "fresh")
    assert checked.returncode == 0
    assert [line.split()[0] for line in checked.stdout.splitlines()] == ["proven", "proven"]
    again = agent("tasks", "new", "core", "--family", "maths", "--count", "2", "-o", "fresh")
    assert again.returncode == 3
    assert "there already" in again.stderr


def test_a_broken_task_is_named_with_exit_code_1(agent: Command, workspace: Path) -> None:
    (workspace / "bad.toml").write_text(
        """
        [[task]]
        id = "a/easy"
        prompt = "Say anything."
        verifier = { kind = "regex", pattern = "." }

        [[task]]
        id = "a/solved"
        prompt = "Write one to a.txt."
        verifier = { kind = "files", files = [{ path = "a.txt", text = "1" }] }
        meta = { solution = { commands = ["echo 1 > a.txt"] } }

        [[task]]
        id = "a/wrongly-solved"
        prompt = "Write one to a.txt."
        verifier = { kind = "files", files = [{ path = "a.txt", text = "1" }] }
        meta = { solution = { commands = ["echo 2 > a.txt"] } }
        """
    )
    checked = agent("tasks", "check", "bad.toml", "--json")
    assert checked.returncode == 1
    found = {row["id"]: row["verdict"] for row in json.loads(checked.stdout)}
    assert found == {"a/easy": "broken", "a/solved": "proven", "a/wrongly-solved": "broken"}


def test_a_run_is_harvested_and_refused_by_the_command(agent: Command, workspace: Path) -> None:
    prompt = 'Create a file hello.txt with the text "Hello world"'
    assert agent("run", prompt).returncode == 0
    without = agent("tasks", "harvest", "last", "-o", "mine")
    assert without.returncode == 2
    no_table = agent("tasks", "harvest", "last", "--verifier", '{"verifier": 3}', "-o", "mine")
    assert no_table.returncode == 2
    assert "is a table" in no_table.stderr
    check = "grep -q Hello hello.txt"
    refused = agent("tasks", "harvest", "last", "--check", "true", "-o", "mine")
    assert refused.returncode == 3
    assert "passes already" in refused.stderr
    made = agent("tasks", "harvest", "last", "--check", check, "-o", "mine")
    assert made.returncode == 0, made.stderr
    (row,) = json.loads(agent("tasks", "list", "mine", "--json").stdout)
    assert row["prompt"] == prompt


@pytest.mark.parametrize(
    ("suite", "tasks", "split"),
    [("core", (), "test"), ("core", ("code/ranges-a-test-000",), None), ("mine", (), None)],
)
def test_of_a_built_in_suite_the_test_split_is_evaluated(
    suite: str, tasks: tuple[str, ...], split: str | None
) -> None:
    given = dict.fromkeys((one.name for one in fields(Wanted)), None)
    wanted = Wanted(**{**given, "suite": suite, "tasks": tasks})  # type: ignore[arg-type] # unused
    assert usual_split(wanted) == split
