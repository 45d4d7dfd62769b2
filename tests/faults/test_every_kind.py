"""A log with every kind of event, killed at every write and sync, or failing there with EIO.

One process forks a writer for each point; the writer says what was acknowledged, and all of that
must be in the log, in order and whole, with at most a torn tail beside it.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wardian.runs.encode import KINDS

RULE = {"text": "read_*", "source": "default.toml:3"}
CALL: dict[str, object] = {"id": "c1", "name": "look", "arguments_text": "{}", "arguments": {}}
RESULT = {"call_id": "c1", "name": "look", "status": "ok", "content": "seen", "seconds": 0.1}
MODEL = {"name": "m", "is_local": True}
EGRESS = {"connection": 1, "outcome": "allowed", "host": "h", "port": 443}
EVENTS: dict[str, dict[str, object]] = {
    "run_started": {
        "run_id": "01A",
        "task": {"prompt": "Go."},
        "system_prompt": "s",
        "model": MODEL,
        "tools": [],
        "policy": {},
        "sandbox": {},
        "workspace": "/w",
        "wardian_version": "0",
    },
    "model_asked": {"step": 1, "sampling": {}},
    "model_replied": {
        "step": 1,
        "reply": {
            "message": {"role": "assistant", "content": "x" * 40_000, "calls": [CALL]},
            "finish": "calls",
        },
        "seconds": 1.0,
    },
    "call_decided": {"step": 1, "call": CALL, "decision": {"reason": "no", "rule": RULE}},
    "sandbox_opened": {"step": 1, "sandbox": {"backend": "none"}},
    "workspace_saved": {"step": 1, "when": "before", "state": 0},
    "call_started": {"step": 1, "call_id": "c1", "name": "look", "repeatable": True},
    "egress_decided": {"step": 1, "egress": EGRESS},
    "child_started": {"step": 1, "call_id": "c1", "run_id": "01B", "name": "helper"},
    "child_finished": {
        "step": 1,
        "call_id": "c1",
        "run_id": "01B",
        "stop": "done",
        "consumed": {"steps": 1},
    },
    "call_finished": {"step": 1, "result": RESULT},
    "noted": {"step": 1, "text": "lone \ud800 and \0"},
    "compacted": {
        "step": 1,
        "folded": 2,
        "digest": "d",
        "clip_chars": 10,
        "last_clip_chars": None,
        "context_tokens": 100,
        "tokens_before": 90,
        "tokens_after": 50,
    },
    "run_resumed": {"step": 1, "model": MODEL, "policy": {}, "sandbox": {}},
    "call_settled": {"step": 1, "call_id": "c1", "settlement": "again", "by_user": True},
    "run_finished": {
        "stop": "done",
        "answer": "a",
        "steps": 1,
        "tool_calls": 1,
        "usage": {},
        "seconds": 1.0,
    },
    "changes_undone": {"step": 1, "steps": [1], "paths": ["a"]},
    "forked": {"step": 1, "group": "g", "run_ids": ["01C"]},
    "compared": {"group": "g", "by": "vote", "winner": "01A", "members": ["01A"], "value": 1.0},
    "rated": {"step": 0, "good": True},
    "rewarded": {"step": 0, "value": 0.5, "source": "tests", "version": "1"},
    "tagged": {"added": ["x"]},
    "labelled": {"name": "n", "value": "v"},
}

DRIVER = """
import asyncio, errno, json, os, signal, sys
from pathlib import Path
from wardian.errors import StorageError
from wardian.events import Noted
from wardian.runs import RunLog, Trajectory
from wardian.runs.encode import KINDS, to_event

call, moment, root = sys.argv[1], sys.argv[2], Path(sys.argv[3])
events = [to_event(kind, data) for kind, data in json.load(sys.stdin).items() if kind in KINDS]

def strike(real, count, k, arguments, more):
    if moment == "eio":
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    if moment == "half":
        real(arguments[0], arguments[1][: len(arguments[1]) // 2])
    if moment == "after":
        real(*arguments, **more)
    os.kill(os.getpid(), signal.SIGKILL)

def write_log(folder, k, said):
    real, count = getattr(os, call), 0
    def struck(*arguments, **more):
        nonlocal count
        if call == "write" and not arguments[1].startswith(b'{"seq"'):
            return real(*arguments, **more)
        count += 1
        if count == k:
            strike(real, count, k, arguments, more)
        return real(*arguments, **more)
    acknowledge = os.write
    setattr(os, call, struck)
    async def write():
        log = RunLog.create(folder)
        for event in events:
            await log.append([event])
            acknowledge(said, b".")
        log.close()
    try:
        asyncio.run(write())
    except StorageError:
        os._exit(8)
    os._exit(0)

struck = 0
for k in range(1, 200):
    folder = root / str(k)
    heard, said = os.pipe()
    if not (child := os.fork()):
        write_log(folder, k, said)
    os.close(said)
    with open(heard, "rb") as stream:
        acknowledged = len(stream.read())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 8, -9), code
    try:
        run = Trajectory.read(folder)
    except StorageError:
        assert acknowledged == 0, (k, acknowledged)
        struck += 1
        continue
    assert list(run.events[:acknowledged]) == events[:acknowledged], (k, acknowledged)
    assert len(run.events) <= acknowledged + 1
    assert all(one.problem.startswith("torn") for one in run.damage), run.damage
    log = RunLog.reopen(folder)
    log.note(Noted(step=9, text="goes on"))
    log.close()
    after = Trajectory.read(folder)
    assert after.damage == () and after.events[:-1] == run.events
    if code == 0:
        assert acknowledged == len(events)
        break
    struck += 1
print(struck)
"""


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder whose syncs wait for no disk, where there is one."""
    shared = Path("/dev/shm")
    place = tempfile.mkdtemp(dir=shared if os.access(shared, os.W_OK) else tmp_path)
    yield Path(place)
    shutil.rmtree(place)


def test_every_kind_there_is_stands_in_this_test() -> None:
    assert EVENTS.keys() >= KINDS.keys()


@pytest.mark.parametrize(
    ("call", "moment"),
    [
        ("fdatasync", "before"),
        ("write", "half"),
        ("fsync", "before"),
        ("fdatasync", "eio"),
        ("write", "eio"),
        ("fsync", "eio"),
    ],
)
def test_nothing_acknowledged_is_lost_wherever_it_is_struck(
    memory: Path, call: str, moment: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, call, moment, str(memory)],
        input=json.dumps(EVENTS),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= (4 if call == "fsync" else len(KINDS))
