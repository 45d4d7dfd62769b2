"""Real small disks: full, made read-only, and with room again."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.command import answers, options, run, served

from wardian import Agent, ScriptedModel
from wardian.models.scripted_server import stream_text
from wardian.runs import RunStore
from wardian.types import Stop

SIZE = 512 << 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory with room for half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def recorded(home: Path, prompt: str) -> str:
    agent = Agent(ScriptedModel(["An answer."]), store=RunStore(home / "runs"))
    return agent.run_sync(prompt).run_id


def fill(disk: Path, *, leave: int) -> Path:
    """A file that takes all but so many bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)):
                pass
        except OSError:
            stream.truncate(max(0, stream.tell() - leave))
    return ballast


@pytest.mark.parametrize("leave", [16 << 10, 40 << 10])
def test_a_full_disk_ends_a_run_with_8_and_it_goes_on_once_there_is_room(
    disk: Path, leave: int
) -> None:
    home = disk / "home"
    first = recorded(home, "first")
    store = RunStore(home / "runs")
    before = store.path(first).read_bytes()
    ballast = fill(disk, leave=leave)
    big = [*answers()[:3], stream_text("x" * 200_000)]
    with served(*big) as server:
        full = run(home, "run", "second", *options(server))
    assert full.returncode == 8, full.stderr
    assert "Free space" in full.stderr
    assert store.path(first).read_bytes() == before
    left = [store.load(run_id) for run_id in store.ids() if run_id != first]
    # Its end can still be written where only something larger did not fit.
    assert all(one.damage == () for one in left)
    assert all(one.finished is None or one.finished.stop is Stop.FAILED for one in left)
    ballast.unlink()
    if left and left[0].started:
        with served(stream_text("Second.")) as server:
            settled = [f"--settle={one.call_id}=again" for one in left[0].uncertain]
            resumed = run(home, "resume", "last", *settled, *options(server))
        assert (resumed.returncode, resumed.stdout) == (0, "Second.\n"), resumed.stderr
        whole = store.load("last")
        assert whole.records[: len(left[0].records)] == left[0].records
        assert whole.damage == ()


def test_a_full_disk_costs_neither_the_list_nor_the_search(disk: Path) -> None:
    home = disk / "home"
    recorded(home, "needle")
    fill(disk, leave=0)
    for command in (["search", "needle"], ["list", "--text", "needle"]):
        done = run(home, "runs", *command)
        assert (done.returncode, "needle" in done.stdout) == (0, True), done.stderr
    tagged = run(home, "runs", "tag", "last", "--add", "x")
    assert tagged.returncode in (0, 8), tagged.stderr
    assert RunStore(home / "runs").load("last").damage == ()


def test_a_read_only_home_can_be_read_and_says_that_it_cannot_be_written(disk: Path) -> None:
    home = disk / "home"
    recorded(home, "needle")
    (disk / "workspace").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for command in (["list", "--status", "done"], ["search", "needle"]):
        done = run(home, "runs", *command)
        assert done.returncode == 0, (command, done.stderr)
        assert "needle" in done.stdout
    for command in (["tag", "last", "--add", "x"], ["rm", "last"]):
        refused = run(home, "runs", *command)
        assert refused.returncode == 8, (command, refused.stderr)
        assert "Traceback" not in refused.stderr
    with served(stream_text("Done.")) as server:
        assert run(home, "run", "go", *options(server)).returncode == 8
        assert server.received == []
