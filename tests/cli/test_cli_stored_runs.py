"""`agent resume`, `replay`, `fork` and `undo` as a user types them."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wardian.beginning import Settled
from wardian.cli.resume import parse_settled
from wardian.cli.task_input import UsageError
from wardian.events import Settlement
from wardian.models.scripted_server import Answer, ScriptedServer, stream_calls, stream_text
from wardian.runs import RunStore

Command = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = [sys.executable, "-P", "-m", "wardian"]


class Scene:
    """A server that stops answering at one request, and the commands around it."""

    def __init__(self, agent: Command, env: dict[str, str], workspace: Path) -> None:
        self.agent = agent
        self.env = env
        self.workspace = workspace
        self.answers: list[Answer] = []
        self.server: ScriptedServer | None = None

    @property
    def options(self) -> list[str]:
        assert self.server
        return ["--base-url", self.server.base_url, "-m", "scripted"]

    def serve(self, *answers: Answer) -> None:
        self.close()
        self.server = ScriptedServer(answers).__enter__()

    def close(self) -> None:
        if self.server:
            self.server.__exit__(None, None, None)
            self.server = None

    def stopped_by(self, number: int, marker: str) -> subprocess.CompletedProcess[bytes]:
        """`agent run`, sent that signal once `marker` appears on its stderr."""
        process = subprocess.Popen(
            [*COMMAND, "run", "go", "--plain", *self.options],
            env=self.env,
            cwd=self.workspace,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stderr
        seen = b""
        alarm = threading.Timer(300, process.kill)
        alarm.start()
        try:
            for line in process.stderr:
                seen += line
                if marker.encode() in line:
                    process.send_signal(number)
                    break
            out, err = process.communicate()
        finally:
            alarm.cancel()
        return subprocess.CompletedProcess([], process.returncode, out, seen + err)

    def asked(self, number: int) -> list[dict[str, Any]]:
        """The messages of that request."""
        assert self.server
        messages: list[dict[str, Any]] = self.server.received[number].json["messages"]
        return messages

    def lines(self) -> list[dict[str, Any]]:
        path = self.agent("runs", "path", "last").stdout.strip()
        return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.fixture
def scene(agent: Command, environment: dict[str, str], workspace: Path) -> Iterator[Scene]:
    scene = Scene(agent, environment, workspace)
    yield scene
    scene.close()


def shell(command: str) -> Answer:
    return stream_calls([("shell", {"command": command})])


SLOW = shell("echo begun >> log.txt; sleep 100")


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name
)
def test_a_run_stopped_by_a_signal_is_stored_and_says_how_it_goes_on(
    scene: Scene, number: signal.Signals
) -> None:
    scene.serve(SLOW)
    done = scene.stopped_by(number, "sleep 100")
    assert done.returncode == 128 + number
    assert b"go on with: agent resume 0" in done.stderr
    run = RunStore(Path(scene.env["WARDIAN_HOME"]) / "runs").load("last")
    assert run.finished is not None
    assert run.finished.stop == "cancelled"
    assert len(run.uncertain) == 1


def test_a_run_whose_terminal_is_closed_is_stored_and_resumed(
    scene: Scene, screen: Callable[..., Any]
) -> None:
    scene.serve(SLOW)
    terminal = screen("run", "go", *scene.options)
    terminal.wait_for("sleep 100")
    while not (scene.workspace / "log.txt").exists():
        terminal.wait_for("sleep 100")
    assert terminal.hang_up() == 128 + signal.SIGHUP
    run = RunStore(Path(scene.env["WARDIAN_HOME"]) / "runs").load("last")
    assert run.damage == ()
    assert [call.name for call in run.uncertain] == ["shell"]
    scene.serve(stream_text("Resumed."))
    resumed = scene.agent("resume", "last", "--settle", "all=failed", *scene.options)
    assert (resumed.returncode, resumed.stdout) == (0, "Resumed.\n"), resumed.stderr


def test_a_killed_run_is_resumed(scene: Scene) -> None:
    scene.serve(shell("echo one > a.txt"), SLOW)
    scene.stopped_by(signal.SIGKILL, "sleep 100")
    scene.serve(stream_text("Resumed."))
    secret = {"MY_TOKEN": "echo begun >> log.txt"}  # registered since
    for env, shows in (({}, "echo begun >> log.txt; sleep"), (secret, "[REDACTED:MY_TOKEN]; sl")):
        undecided = scene.agent("resume", "last", *scene.options, env=env)
        assert undecided.returncode == 6, undecided.stderr
        assert shows in undecided.stderr
    assert "--settle " in undecided.stderr
    assert scene.server
    assert scene.server.received == []
    call_id = undecided.stderr.partition("The call ")[2].split()[0]
    resumed = scene.agent("resume", "last", "--settle", f"{call_id}=failed", *scene.options)
    assert (resumed.returncode, resumed.stdout) == (0, "Resumed.\n"), resumed.stderr
    assert len(scene.server.received) == 1
    messages = scene.asked(0)
    assert [m["role"] for m in messages][:5] == ["system", "user", "assistant", "tool", "assistant"]
    assert "not known" in messages[5]["content"]
    assert (scene.workspace / "a.txt").read_text() == "one\n"


def test_a_second_resume_is_told_who_holds_the_run(scene: Scene) -> None:
    scene.serve(SLOW)
    scene.stopped_by(signal.SIGKILL, "sleep 100")
    scene.serve(SLOW)
    call_id = next(d["data"]["call_id"] for d in scene.lines() if d["kind"] == "call_started")
    first = subprocess.Popen(
        [*COMMAND, "resume", "last", "--settle", f"{call_id}=failed", *scene.options],
        env=scene.env,
        cwd=scene.workspace,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert first.stderr
        for line in first.stderr:
            if b"sleep 100" in line:
                break
        second = scene.agent("resume", "last", *scene.options)
        assert second.returncode == 8
        assert f"in use by process {first.pid} on " in second.stderr
    finally:
        first.kill()
        first.communicate()


def test_the_user_decides_at_the_terminal(scene: Scene, screen: Callable[..., Any]) -> None:
    scene.serve(SLOW)
    scene.stopped_by(signal.SIGKILL, "sleep 100")
    scene.serve(stream_text("Resumed."))
    terminal = screen("resume", "last", *scene.options)
    terminal.wait_for("was cut off")
    terminal.wait_for("r TEXT")
    terminal.type("r it printed begun\n")
    assert terminal.exit_code() == 0
    assert "Resumed." in terminal.text
    results = [one["content"] for one in scene.asked(0) if one["role"] == "tool"]
    assert results == ["it printed begun"]


def test_replay_fork_and_undo(scene: Scene) -> None:
    answers = [shell("echo one > n.txt"), shell("echo two >> n.txt"), stream_text("Done.")]
    scene.serve(*answers)
    assert scene.agent("run", "go", *scene.options).returncode == 0
    same = scene.agent("replay", "last", "--live-tools")
    assert (same.returncode, same.stdout) == (0, "the same: 9 events\n"), same.stderr
    scene.serve(shell("cat n.txt"), stream_text("Forked."))
    forked = scene.agent("fork", "last", "--at", "2", *scene.options)
    assert (forked.returncode, forked.stdout) == (0, "Forked.\n"), forked.stderr
    assert scene.asked(1)[-1]["content"] == "one"
    assert (scene.workspace / "n.txt").read_text() == "one\ntwo\n"
    parent = scene.agent("runs", "list", "--json")
    run_id = json.loads(parent.stdout)[1]["run_id"]
    assert scene.agent("undo", run_id, "--step").returncode == 0
    assert (scene.workspace / "n.txt").read_text() == "one\n"
    (scene.workspace / "n.txt").write_text("mine")
    left = scene.agent("undo", run_id)
    assert left.returncode == 1
    assert "left alone, changed since or not kept: n.txt" in left.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["resume", "last"], 8, "no stored run"),
        (["replay", "x"], 8, "no stored run"),
        (["fork", "last", "--at", "1"], 8, "no stored run"),
        (["undo"], 8, "no stored run"),
        (["fork", "last", "--at", "0"], 2, "--at"),
    ],
)
def test_wrong_usage_is_said(agent: Command, arguments: list[str], code: int, says: str) -> None:
    done = agent(*arguments)
    assert done.returncode == code
    assert says in done.stderr


@pytest.mark.parametrize(
    ("options", "settled"),
    [
        (["a=again"], {"a": Settled(settlement=Settlement.AGAIN)}),
        (["a=b=failed"], {"a=b": Settled(settlement=Settlement.FAILED)}),
        (
            ["all=failed", "a=result:x=1"],
            {
                "a": Settled(settlement=Settlement.SUPPLIED, result="x=1"),
                "a=b": Settled(settlement=Settlement.FAILED),
            },
        ),
    ],
)
def test_what_becomes_of_a_call_is_read_by_its_id(
    options: list[str], settled: dict[str, Settled]
) -> None:
    read = parse_settled(options, ["a", "a=b"])
    assert read | settled == read


@pytest.mark.parametrize("option", ["c=again", "a=maybe", "a", "all=", "=again"])
def test_a_word_on_no_call_is_wrong_usage(option: str) -> None:
    with pytest.raises(UsageError, match="--settle"):
        parse_settled([option], ["a"])


def test_a_resumed_run_streams_json_and_can_be_rated(scene: Scene) -> None:
    scene.serve(shell("echo one > a.txt"))
    assert scene.agent("run", "go", "--max-steps", "1", *scene.options).returncode == 5
    scene.serve(stream_text("Done."))
    resumed = scene.agent("resume", "last", "--json", "--max-steps", "2", *scene.options)
    events = [json.loads(line) for line in resumed.stdout.splitlines()]
    assert events[0]["event"] == "run_resumed"
    last = events[-1]
    assert (last["event"], last["answer"], last["steps"]) == ("result", "Done.", 2)
    done = scene.agent("runs", "rate", "last", "--bad", "--step", "2", "--note", "no")
    assert done.returncode == 0, done.stderr
    assert scene.lines()[-1]["data"] == {"step": 2, "good": False, "note": "no"}
    assert scene.agent("runs", "rate", "last", "--good", "--step", "3").returncode == 2


def test_a_run_without_a_sandbox_is_resumed_so_only_when_that_is_said_again(scene: Scene) -> None:
    scene.serve(shell("echo one > a.txt"))
    done = scene.agent("run", "go", "--max-steps", "1", "--sandbox", "none", *scene.options)
    assert done.returncode == 5
    scene.serve(stream_text("Done."))
    more = ["--max-steps", "2", *scene.options]
    refused = scene.agent("resume", "last", *more)
    assert refused.returncode == 3
    assert "--sandbox none once more" in refused.stderr
    assert scene.agent("resume", "last", "--sandbox", "none", *more).stdout == "Done.\n"
    assert (scene.workspace / "a.txt").read_text() == "one\n"


def test_a_run_goes_on_with_the_server_it_spoke_with_and_with_no_other_unasked(
    scene: Scene,
) -> None:
    call = stream_calls([("shell", {"command": "true"})])
    scene.serve(call, stream_text("Done."))
    assert scene.server
    bound = ["--max-steps", "1", "--sandbox", "none"]
    began = scene.agent("run", "go", "--base-url", scene.server.base_url, "-m", "openai/m", *bound)
    assert began.returncode == 5, began.stderr
    ended = scene.agent("resume", "last", "--sandbox", "none", "--max-steps", "2")
    assert (ended.returncode, ended.stdout) == (0, "Done.\n"), ended.stderr

    elsewhere = "http://nowhere.invalid/v1"
    assert scene.agent("run", "go", "--base-url", elsewhere, "-m", "openai/m").returncode == 4
    refused = scene.agent("resume", "last")
    assert refused.returncode == 3
    assert f"The run spoke with openai/m at {elsewhere}; it would be sent" in refused.stderr
    assert f"--base-url {elsewhere} to go on there" in refused.stderr
    assert scene.agent("run", "go", "--base-url", elsewhere, "-m", "m").returncode == 4
    unknown = scene.agent("resume", "last")
    assert unknown.returncode == 3
    assert f"--base-url {elsewhere} to go on there" in unknown.stderr


def test_the_setting_local_holds_for_a_run_that_goes_on(scene: Scene) -> None:
    scene.serve(stream_calls([("shell", {"command": "true"})]), stream_text("Done."))
    assert scene.server
    away = scene.server.base_url.replace("127.0.0.1", "0.0.0.0")
    began = scene.agent("run", "go", "--base-url", away, "-m", "openai/m", "--max-steps", "1")
    assert began.returncode == 5, began.stderr
    asked = len(scene.server.received)
    refused = scene.agent("resume", "last", "--max-steps", "2", env={"WARDIAN_LOCAL": "true"})
    assert refused.returncode == 3
    assert "With --local, openai/m cannot be asked" in refused.stderr
    assert len(scene.server.received) == asked
