"""`agent runs list|tag|label|diff|gc|verify` as a user types them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wardian import Agent, RunStore, ScriptedModel, tool
from wardian.models.replies import Answer
from wardian.runs import RunLog
from wardian.runs.encode import dumps, line
from wardian_tools import Effect

Command = Callable[..., subprocess.CompletedProcess[str]]
HOSTILE = "\x1b[31mred\u202e"


@tool(effects=[Effect.READS])
def look(at: str) -> str:
    """Look."""
    return f"seen {at} {HOSTILE}"


@pytest.fixture
def runs(environment: dict[str, str]) -> list[str]:
    """Three runs: two that call a tool, one that does not."""
    store = RunStore(Path(environment["WARDIAN_HOME"]) / "runs")
    scripts: list[list[Answer]] = [
        [[("look", {"at": "a"})], "first"],
        [[("look", {"at": f"b{HOSTILE}"})], "second"],
        ["third"],
    ]
    return [
        Agent(ScriptedModel(script), tools=[look], store=store).run_sync(f"go {number}").run_id
        for number, script in enumerate(scripts)
    ]


def listed(agent: Command, *options: str) -> list[str]:
    done = agent("runs", "list", "--json", *options)
    assert done.returncode == 0, done.stderr
    return [row["run_id"] for row in json.loads(done.stdout)]


def test_tags_and_labels_outlive_the_index(
    agent: Command, runs: list[str], environment: dict[str, str]
) -> None:
    first, second, _ = runs
    tagged = agent("runs", "tag", first, second, "--add", "nice", "--add", "short")
    assert tagged.stdout.splitlines()[1].split() == [first, "nice", "short"]
    assert agent("runs", "tag", second, "--remove", "nice", "--remove", "none").returncode == 0
    assert agent("runs", "label", second, "topic=files", "reward=0.5").returncode == 0
    assert agent("runs", "label", second, "topic=").stdout.split() == [
        *("LABEL", "VALUE"),
        *("reward", "0.5"),
    ]
    assert listed(agent, "--tag", "nice") == [first]
    assert listed(agent, "--tag", "short", "--min-reward", "0.2") == [second]
    (Path(environment["WARDIAN_HOME"]) / "runs" / ".search.sqlite3").unlink()
    assert listed(agent, "--tag", "short", "--tool", "look", "--text", "seen a") == [first]


@pytest.mark.parametrize(
    "arguments",
    [
        ["tag", "last", "--add", "two words"],
        ["label", "last", "reward=much"],
        ["list", "--status", "finished"],
        ["gc", "--older-than", "long"],
        ["verify"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_wrong_usage(
    agent: Command, runs: list[str], arguments: list[str]
) -> None:
    assert runs
    done = agent("runs", *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr


def test_two_runs_are_shown_beside_each_other(agent: Command, runs: list[str]) -> None:
    done = agent("runs", "diff", runs[0], runs[1])
    assert done.returncode == 1
    assert "first difference, step 1 of A, 1 of B: calls[0].arguments.at" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    facts = json.loads(agent("runs", "diff", runs[0], runs[2], "--json").stdout)
    assert [(bool(s["a"]), bool(s["b"])) for s in facts["steps"]] == [(True, False), (True, True)]
    assert agent("runs", "diff", "last", "last").returncode == 0


def test_nothing_goes_before_apply_is_said(agent: Command, runs: list[str]) -> None:
    done = agent("runs", "gc", "--keep", "1", "--tool", "look")
    assert done.returncode == 0
    assert "--apply removes this" in done.stderr
    assert listed(agent) == runs[::-1]
    assert agent("runs", "gc", "--keep", "1", "--tool", "look", "--apply").returncode == 0
    assert listed(agent) == [runs[2]]


def test_what_cannot_be_checked_is_named_and_damage_is_found(
    agent: Command, runs: list[str], environment: dict[str, str]
) -> None:
    sound = agent("runs", "verify", "last")
    assert sound.returncode == 0
    assert "1 cannot be checked: neither" in sound.stdout
    path = RunStore(Path(environment["WARDIAN_HOME"]) / "runs").path(runs[0])
    path.write_bytes(path.read_bytes().replace(b"first", b"thirst"))
    damaged = agent("runs", "verify", "--all", "--json")
    assert damaged.returncode == 1
    assert [one["sound"] for one in json.loads(damaged.stdout)] == [True, True, False]


def test_a_newer_versions_run_is_not_called_unsound(
    agent: Command, runs: list[str], environment: dict[str, str]
) -> None:
    path = RunStore(Path(environment["WARDIAN_HOME"]) / "runs").path(runs[0])
    header = line(0, "", 0.0, "header", dumps({"schema": "wardian.run/2"}))
    path.write_bytes(header + path.read_bytes().split(b"\n", 1)[1])
    done = agent("runs", "verify", "--all")
    assert done.returncode == 8, done.stdout
    assert f"{runs[0]}  not read: " in done.stdout
    assert "Upgrade Wardian" in done.stdout
    assert "NOT SOUND" not in done.stdout
    assert done.stdout.endswith("0 damaged runs, 1 run of a newer Wardian not read\n")
    RunStore(path.parent.parent).path(runs[1]).write_bytes(b"damaged\n")
    found = agent("runs", "verify", "--all", "--json")
    assert found.returncode == 1
    assert [one["sound"] for one in json.loads(found.stdout)] == [True, False, None]


def test_a_run_that_goes_on_is_told_from_one_that_was_cut_off(
    agent: Command, runs: list[str], environment: dict[str, str]
) -> None:
    root = Path(environment["WARDIAN_HOME"]) / "runs"
    for run_id in runs[:2]:
        log = root / run_id / "trajectory.jsonl"
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:4]))
    held = RunLog.reopen(root / runs[0])
    shown = [row.split()[3] for row in agent("runs", "list").stdout.splitlines()[1:]]
    found = json.loads(agent("runs", "list", "--json").stdout)
    held.close()
    assert shown == ["done", "unfinished", "running"]
    assert [row["is_running"] for row in found] == [False, False, True]


def test_who_forks_or_replays_a_damaged_run_is_told_what_is_missing(
    agent: Command, runs: list[str], environment: dict[str, str]
) -> None:
    log = Path(environment["WARDIAN_HOME"]) / "runs" / runs[0] / "trajectory.jsonl"
    log.write_bytes(log.read_bytes().replace(b"seen a", b"seen b", 1))
    for words in (["replay"], ["fork", "--at", "2", "-m", "tiny"]):
        said = agent(*words, runs[0]).stderr
        assert "of the trajectory cannot be read, and what it said is missing" in said
    assert "cannot be read: checksum does not match" in agent("runs", "stats", runs[0]).stderr
