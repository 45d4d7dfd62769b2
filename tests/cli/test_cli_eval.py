"""`agent eval` as a user has it: the real command, a scripted server, signals and terminals."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wardian.evals.storing import EvaluationStore
from wardian.models.scripted_server import (
    Answer,
    Received,
    ScriptedServer,
    delta,
    refuse,
    stream,
    stream_text,
)

Command = Callable[..., subprocess.CompletedProcess[str]]
Screens = Callable[..., Any]
COMMAND = [sys.executable, "-P", "-m", "wardian"]
SUM = re.compile(r"What is (\d+) \+ 1\?")
TASKS = 6


class Judge:
    """A server that adds one to numbers, wrongly above `right_below`, and counts its questions."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.right_below = TASKS
        self.before: Callable[[int], Answer | None] = lambda _: None
        """Is told of each question first, and may answer it"""

    def __call__(self, received: Received) -> Answer:
        found = SUM.search(json.dumps(received.json["messages"]))
        assert found
        number = int(found[1])
        self.asked.append(number)
        other = self.before(number)
        return other or stream_text(str(number + 1 if number < self.right_below else -1))


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def server(judge: Judge) -> Iterator[ScriptedServer]:
    with ScriptedServer(judge) as server:
        yield server


@pytest.fixture
def options(server: ScriptedServer, workspace: Path) -> list[str]:
    """A suite of six sums and a model for it."""
    rows: list[dict[str, Any]] = [
        {
            "id": f"sums/{i}",
            "family": "even" if i % 2 == 0 else "odd",
            "prompt": f"What is {i} + 1?",
            "tools": [],
            "verifier": {"kind": "number", "expected": i + 1},
        }
        for i in range(TASKS)
    ]
    (workspace / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["eval", "sums.jsonl", "-m", "scripted", "--base-url", server.base_url]


@pytest.fixture
def stored(environment: dict[str, str]) -> EvaluationStore:
    return EvaluationStore(Path(environment["WARDIAN_HOME"]) / "evaluations")


def test_the_report_is_on_stdout_and_all_else_on_stderr(
    agent: Command, options: list[str], judge: Judge, workspace: Path
) -> None:
    judge.right_below = 3
    done = agent(*options, "--attempts", "2", "--html", "page.html")
    assert done.returncode == 0, done.stderr
    assert "scripted  0.50 (0.19" in done.stdout
    assert "6 passed, 6 wrong" in done.stdout
    assert re.search(r"even +3 +0\.67", done.stdout)
    assert "12/12: 6 passed, 6 failed" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert (workspace / "page.html").read_text().startswith("<!doctype html>")
    assert (workspace / "page.html").stat().st_mode & 0o777 == 0o600
    assert len(judge.asked) == 12


def test_what_is_stored_is_listed_shown_compared_and_removed(
    agent: Command, options: list[str], judge: Judge
) -> None:
    judge.right_below = 0
    first = json.loads(agent(*options, "--json").stdout)
    judge.right_below = TASKS
    second = json.loads(agent(*options, "--json", "-q").stdout)
    assert [one["passed"] for one in first["models"] + second["models"]] == [0, 6]
    shown = agent("eval", "show", "last", "--tasks")
    assert shown.returncode == 0
    assert re.search(r"sums/5 +1/1", shown.stdout)
    compared = json.loads(agent("eval", "compare", first["id"], second["id"], "--json").stdout)
    assert (compared["difference"], compared["p_value"]) == (1.0, 2 / 2**6)
    assert compared["is_gain"]
    assert agent("eval", "rm", first["id"]).returncode == 0
    assert len(json.loads(agent("eval", "list", "--json").stdout)) == 1
    gone = agent("eval", "show", first["id"])
    assert gone.returncode == 3
    assert "is no stored evaluation" in gone.stderr


def test_killed_it_goes_on_and_what_was_finished_is_not_asked_again(
    agent: Command,
    options: list[str],
    judge: Judge,
    stored: EvaluationStore,
    environment: dict[str, str],
    workspace: Path,
) -> None:
    process = subprocess.Popen(
        [*COMMAND, *options, "--jobs", "2"],
        env=environment,
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def kill(_: int) -> None:
        if len(judge.asked) >= 5:
            process.kill()

    judge.before = kill
    alarm = threading.Timer(300, process.kill)
    alarm.start()
    assert process.wait() == -signal.SIGKILL
    alarm.cancel()
    finished = {int(one.task.partition("/")[2]) for one in stored.load("last").outcomes}
    assert 2 <= len(finished) < TASKS
    judge.asked.clear()
    done = agent("eval", "--resume", "last", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] == TASKS
    assert not finished & set(judge.asked)
    assert len(judge.asked) == len(set(judge.asked))


def test_ctrl_c_ends_it_with_what_there_is_and_says_how_it_goes_on(
    screen: Screens, options: list[str], judge: Judge, agent: Command
) -> None:
    held = threading.Event()

    def hold(number: int) -> None:
        if number >= 4:
            held.wait(300)

    judge.before = hold
    terminal = screen(*options, "--jobs", "1")
    terminal.wait_for("4/6")
    terminal.type("\x03")
    assert terminal.exit_code() == 130
    assert "4 of 6 done" in terminal.text
    assert "agent eval --resume 0" in terminal.text
    held.set()
    done = agent("eval", "--resume", "last", "--json")
    assert json.loads(done.stdout)["done"] == TASKS


def test_nothing_a_suite_says_acts_on_the_terminal(
    agent: Command, options: list[str], workspace: Path
) -> None:
    (workspace / "hostile").mkdir()
    (workspace / "sums.jsonl").rename(workspace / "hostile" / "sums.jsonl")
    about = json.dumps("evil\x1b[2Jsuite")
    (workspace / "hostile" / "suite.toml").write_text(f"name = {about}\nversion = {about}\n")
    done = agent("eval", "hostile", *options[2:], "--task", "sums/1")
    assert done.returncode == 0, done.stderr
    assert "suite" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_errors_are_told_and_retried(agent: Command, options: list[str], judge: Judge) -> None:
    judge.before = lambda number: refuse(400, "odd") if number == 3 else None
    done = agent(*options)
    assert done.returncode == 1
    assert "5 of 6 done" in done.stdout
    assert "errors, which count neither way:" in done.stdout
    assert "--retry-errors" in done.stderr
    judge.before = lambda _: None
    judge.asked.clear()
    again = agent("eval", "--resume", "last", "--retry-errors")
    assert (again.returncode, judge.asked) == (0, [3])


def test_a_budget_stops_it_with_exit_code_5_and_a_larger_one_goes_on(
    agent: Command, options: list[str], judge: Judge
) -> None:
    priced = {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.3}
    judge.before = lambda n: stream(delta(content=str(n + 1)), delta("stop"), usage=priced)
    stopped = agent(*options, "--jobs", "1", "--max-cost", "0.5")
    assert stopped.returncode == 5, stopped.stderr
    assert "The limit of 0.5 USD was reached. Raise it with --max-cost." in stopped.stderr
    assert judge.asked == [0, 1]
    other = agent("eval", "--resume", "last", "-m", "another", "--attempts", "9")
    assert other.returncode == 2
    assert "--model, --attempts cannot be said anew" in other.stderr
    ended = agent("eval", "--resume", "last", "--max-cost", "9")
    assert ended.returncode == 0, ended.stderr
    assert sorted(judge.asked) == list(range(TASKS))
    assert "$1.8" in ended.stdout


def test_a_model_that_never_answers_is_exit_code_4(
    agent: Command, options: list[str], judge: Judge
) -> None:
    judge.before = lambda _: refuse(401, "no key")
    done = agent(*options, "--jobs", "1")
    assert done.returncode == 4
    assert "3 attempts ended with an error" in done.stderr
    assert len(judge.asked) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "Say which suite"),
        (["nothing"], 3, "There is no suite 'nothing'"),
        (["sums.jsonl", "--split", "exam"], 2, "'exam' is no split"),
        (["sums.jsonl", "--task", "sums/99"], 3, "has no task 'sums/99'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_says_what_to_do(
    agent: Command, options: list[str], arguments: list[str], code: int, said: str
) -> None:
    assert options
    done = agent("eval", "run", *arguments) if not arguments else agent("eval", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
