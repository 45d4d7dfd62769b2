"""A real SIGKILL at every k-th write and every k-th sync of a six-step run loses nothing.

The child prints an event's kind only once the recorder has acknowledged it; whatever it printed
must be in the log afterwards, in order, with at most a torn tail beside it. Then the run is resumed
and comes to the same end, without asking or running anything twice that had finished.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wardian import Agent, FunctionModel, RunStore, Trajectory
from wardian.beginning import Settled
from wardian.errors import StorageError
from wardian.events import CallFinished, ModelReplied, RunFinished, Settlement
from wardian.models.replies import Answer
from wardian.reruns import resume
from wardian.types import Request, Role

CHILD = """
import asyncio, json, os, signal, sys
from pathlib import Path
from wardian import Agent, RunStore, ScriptedModel

call, k, moment, root = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
real, count = getattr(os, call), 0

def deadly(*arguments):
    global count
    if call == "write" and not arguments[1].startswith(b'{"seq"'):
        return real(*arguments)
    count += 1
    if count == k and moment == "half":
        real(arguments[0], arguments[1][: len(arguments[1]) // 2])
    if count == k and moment != "after":
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(*arguments)
    if count == k:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

async def main():
    model, store = ScriptedModel(json.loads(sys.argv[5])), RunStore(root / "runs")
    agent = Agent(model, workspace=root / "w", store=store)
    async with agent:
        async for event in agent.stream("Go."):
            if getattr(event, "kind", ""):
                real_write(1, event.kind.encode() + b"\\n")

real_write = os.write
setattr(os, call, deadly)
asyncio.run(main())
"""


SCRIPT: list[Answer] = [
    [("write_file", {"path": "a.txt", "content": "1"})],
    [("python", {"code": "x = 41"})],
    [("shell", {"command": "echo ran >> runs.txt"}), ("read_file", {"path": "a.txt"})],
    "",
    [("shell", {"command": "cat a.txt; exit 3"})],
    "42",
]


def run_child(root: Path, call: str, k: int, moment: str) -> tuple[int, list[str]]:
    """The child's exit status and the kinds it acknowledged."""
    (root / "w").mkdir(parents=True)
    command = [sys.executable, "-c", CHILD, call, str(k), moment, str(root), json.dumps(SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode, done.stdout.split()


def stored(root: Path) -> Trajectory | None:
    """The run as it can be read back; None when it died before its header was there."""
    store = RunStore(root / "runs")
    try:
        return store.load("last")
    except StorageError:
        return None


def answer(request: Request) -> Answer:
    """The script's answer after what the conversation already has."""
    return SCRIPT[sum(message.role is Role.ASSISTANT for message in request.messages)]


def go_on(root: Path, before: Trajectory) -> tuple[Trajectory, FunctionModel]:
    """The run resumed to its end; a call that may have taken effect is not run again."""
    model = FunctionModel(answer, name="scripted")
    store = RunStore(root / "runs")
    failed = Settled(settlement=Settlement.FAILED)
    settled = {one.call_id: failed for one in before.uncertain if not one.repeatable}

    async def perform() -> None:
        agent = Agent(model, workspace=root / "w", store=store)
        await (await resume(agent, before.run_id, settled)).perform()

    asyncio.run(perform())
    return store.load(before.run_id), model


def check_resumed(root: Path, before: Trajectory) -> None:
    after, model = go_on(root, before)
    assert after.finished is not None
    assert (after.finished.answer, after.finished.steps) == ("42", 6)
    assert after.records[: len(before.records)] == before.records
    replied = sum(isinstance(event, ModelReplied) for event in before.events)
    assert len(model.requests) == 6 - replied
    calls = [(e.step, e.result.name) for e in after.events if isinstance(e, CallFinished)]
    assert calls == list(dict.fromkeys(calls))
    assert len(calls) == 5
    ran = root / "w" / "runs.txt"
    assert not ran.exists() or ran.read_text() == "ran\n"


@pytest.mark.parametrize(
    ("call", "moment", "stride"),
    [
        ("fdatasync", "before", 1),
        ("fdatasync", "after", 3),  # nearly what a kill before the next one leaves
        ("write", "half", 1),
    ],
)
def test_a_kill_at_any_point_loses_no_acknowledged_event(
    tmp_path: Path, call: str, moment: str, stride: int
) -> None:
    killed = 0
    for k in range(1, 200, stride):
        root = tmp_path / str(k)
        status, acknowledged = run_child(root, call, k, moment)
        trajectory = stored(root)
        kinds = [event.kind for event in trajectory.events] if trajectory else []
        assert kinds[: len(acknowledged)] == acknowledged, (k, kinds, acknowledged)
        if trajectory:
            assert all(damage.problem.startswith("torn") for damage in trajectory.damage)
            assert len(trajectory.uncertain) <= 2
            if trajectory.started and not isinstance(trajectory.events[-1], RunFinished):
                check_resumed(root, trajectory)
        if status == 0:
            assert acknowledged[-1] == "run_finished"
            break
        killed += stride
    assert killed >= 8


def test_nothing_of_the_sandbox_outlives_a_killed_run(tmp_path: Path) -> None:
    run_child(tmp_path, "fdatasync", 6, "after")
    marker = str(tmp_path).encode()
    left: list[bytes] = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes()
        except OSError:
            continue
        if marker in command and int(entry.parent.name) != os.getpid():
            left.append(command)
    assert left == []
