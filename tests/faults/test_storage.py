"""Full disks, odd homes, many processes: what is acknowledged stays, what cannot be is said."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.faults.command import answers, options, run, served

from wardian.errors import StorageError
from wardian.events import RunFinished
from wardian.models.scripted_server import stream_text
from wardian.runs import RunStore, Trajectory


def with_files_up_to(limit_bytes: int) -> Callable[[], None]:
    """A disk on which no file grows beyond that: the kernel cuts the write that would."""

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return prepare


@pytest.mark.parametrize("extra_bytes", [40, 900])
def test_a_full_disk_ends_the_run_with_8_and_it_goes_on_once_there_is_room(
    tmp_path: Path, extra_bytes: int
) -> None:
    home = tmp_path / "home"
    store = RunStore(home / "runs")
    with served(*answers()) as server:
        assert run(home, "run", "go", *options(server)).returncode == 0
    lines = store.path("last").read_bytes().splitlines(keepends=True)
    at = next(i for i, raw in enumerate(lines) if json.loads(raw)["kind"] == "call_finished")
    limit = sum(map(len, lines[: at + 1])) + extra_bytes
    with served(*answers()) as server:
        full = run(home, "run", "go", *options(server), prepare=with_files_up_to(limit))
    assert full.returncode == 8, full.stderr
    assert "cannot be written" in full.stderr
    left = store.load("last")
    assert (left.damage, left.finished) == ((), None)
    assert left.path.stat().st_size <= limit
    assert "call_finished" in [event.kind for event in left.events]
    with served(stream_text("Done.")) as server:
        settled = [f"--settle={one.call_id}=again" for one in left.uncertain]
        resumed = run(home, "resume", "last", *settled, *options(server))
    assert (resumed.returncode, resumed.stdout) == (0, "Done.\n"), resumed.stderr
    whole = store.load("last")
    assert whole.records[: len(left.records)] == left.records
    assert whole.damage == ()


def test_a_run_that_dies_at_its_first_event_leaves_nothing_in_the_list(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with served(stream_text("Done.")) as server:
        full = run(home, "run", "go", *options(server), prepare=with_files_up_to(200))
    assert full.returncode == 8, full.stderr
    assert list(RunStore(home / "runs").list()) == []
    assert RunStore(home / "runs").ids() == []


MANY = """
import asyncio, sys
from pathlib import Path
from wardian import Agent, RunStore, ScriptedModel, tool

@tool(effects=["reads"])
def look() -> str:
    "Look."
    return "seen"

async def main():
    store = RunStore(Path(sys.argv[1]))
    for index in range(50):
        model = ScriptedModel([[("look", {})], "Done."])
        agent = Agent(model, tools=[look], workspace=sys.argv[2], store=store)
        assert (await agent.run("Go.")).ok
        assert index % 10 or len(list(store.list())) > 0

asyncio.run(main())
"""


def test_eight_processes_start_fifty_runs_each_in_one_home(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MANY, str(tmp_path / "runs"), str(tmp_path)]

    def one(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(one, range(8)))
    assert [process.returncode for process in done] == [0] * 8, done[0].stderr
    store = RunStore(tmp_path / "runs")
    assert len(store.ids()) == 400
    assert {(summary.stop, summary.steps) for summary in store.list()} == {("done", 2)}
    sample = [store.load(run_id) for run_id in store.ids()[::40]]
    assert all(one.damage == () and one.finished for one in sample)


def odd_homes(root: Path) -> dict[str, Path]:
    (root / "real").mkdir()
    (root / "link").symlink_to(root / "real")
    return {
        "spaces and more": root / "a home\twith ünï → \U0001f600 'quotes\"",
        "behind a link": root / "link",
        "deep": root.joinpath(*("d" * 100 for _ in range(8))),
        "not text": root / os.fsdecode(b"\xff\xfe"),
    }


@pytest.mark.parametrize("name", ["spaces and more", "behind a link", "deep", "not text"])
def test_an_odd_home_is_a_home(tmp_path: Path, name: str) -> None:
    home = odd_homes(tmp_path)[name]
    with served(stream_text("Done.")) as server:
        done = run(home, "run", "go", *options(server))
    assert (done.returncode, done.stdout) == (0, "Done.\n"), done.stderr
    trajectory: Trajectory = RunStore(home / "runs").load("last")
    assert isinstance(trajectory.events[-1], RunFinished)


def test_a_home_that_cannot_be_written_is_said_before_the_model_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with served(stream_text("Done.")) as server:
        done = run(tmp_path / "file", "run", "go", *options(server))
        assert server.received == []
    assert done.returncode == 8, done.stderr
    assert "WARDIAN_HOME" in done.stderr


def no_umask() -> None:
    os.umask(0)


def test_all_is_private_under_umask_0(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with served(*answers()) as server:
        done = run(home, "run", "go", *options(server), prepare=no_umask)
    assert done.returncode == 0, done.stderr
    for path in [home, *home.rglob("*")]:
        allowed = 0o700 if path.is_dir() else 0o600
        assert path.stat().st_mode & 0o777 & ~allowed == 0, path


def test_a_home_that_went_away_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        RunStore(tmp_path / "nowhere").load("last")
