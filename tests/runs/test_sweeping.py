"""Only what nothing needs goes, and an interrupted sweep loses nothing else."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runs.conftest import House

from wardian.events import Labelled, Rated, Tagged
from wardian.models.replies import Answer
from wardian.reruns.forking import annotate, fork, link
from wardian.runs import RunLog
from wardian.runs.filters import Filters
from wardian.runs.states import States
from wardian.runs.sweeping import Sweep, apply, plan

EVERY = Filters(min_steps=1)


def going(sweep: Sweep) -> set[str]:
    return {one.path.name for one in sweep.runs}


def swept(house: House, sweep: Sweep) -> list[str]:
    said: list[str] = []
    apply(house.store.root, sweep, said.append)
    return said


def test_without_a_policy_no_run_goes(house: House) -> None:
    house.run(["one"])
    sweep = plan(house.store.root, filters=Filters())
    assert (sweep.runs, sweep.leftovers) == ([], [])


def test_the_newest_stay_and_the_rest_goes(house: House) -> None:
    runs = [house.run([f"run {n}"]).run_id for n in range(4)]
    sweep = plan(house.store.root, filters=Filters(), keep=2)
    assert going(sweep) == set(runs[:2])
    assert house.store.ids() == runs[::-1]  # it was only a plan
    assert swept(house, sweep) == []
    assert house.store.ids() == runs[:1:-1]
    assert all(house.load(run).finished for run in runs[2:])


def test_a_run_written_to_since_is_not_old(house: House) -> None:
    old, new = house.run(["old"]).run_id, house.run(["new"]).run_id
    os.utime(house.store.path(old), ns=(1, 10**9))
    assert going(plan(house.store.root, filters=Filters(), older_than_ns=2 * 10**9)) == {old}
    assert going(plan(house.store.root, filters=EVERY)) == {old, new}


@pytest.mark.parametrize(
    "mark", [Rated(step=0, good=True), Tagged(added=("x",)), Labelled(name="x", value="y")]
)
def test_what_its_user_marked_stays_unless_asked_for(
    house: House, mark: Rated | Tagged | Labelled
) -> None:
    run = house.run(["one"]).run_id
    annotate(house.store, run, mark)
    assert going(plan(house.store.root, filters=EVERY)) == set()
    assert going(plan(house.store.root, filters=EVERY, marked=True)) == {run}


def test_a_text_that_looks_like_a_mark_is_none(house: House) -> None:
    run = house.run(['"kind":"rated"']).run_id
    assert going(plan(house.store.root, filters=EVERY)) == {run}


def test_a_run_that_goes_on_stays_also_when_it_begins_to_in_between(house: House) -> None:
    run = house.run(["one"]).run_id
    sweep = plan(house.store.root, filters=EVERY)
    log = RunLog.reopen(house.store.root / run)
    assert going(plan(house.store.root, filters=EVERY)) == set()
    assert "in use by process" in "".join(swept(house, sweep))
    log.note(Rated(step=0, good=True))
    log.close()
    assert "went on meanwhile" in "".join(swept(house, sweep))
    assert house.store.ids() == [run]


def test_what_a_fork_goes_on_from_stays_with_it(house: House) -> None:
    first = house.run([[("write_file", {"path": "a", "content": "1"})], "one"]).run_id

    async def forked() -> str:
        agent = house.agent(["other", "other"])
        async with agent:
            forks = await fork(agent, first, 2)
            link(house.store, forks)
            await forks[0].rerun.perform()
        return forks[0].run_id

    child = asyncio.run(forked())
    annotate(house.store, child, Tagged(added=("keep",)))
    assert (
        going(plan(house.store.root, filters=Filters(tools=("write_file",)), marked=True)) == set()
    )
    both = plan(house.store.root, filters=EVERY, marked=True)
    assert both.leftovers == []
    assert plan(house.store.root, filters=Filters()).leftovers == []
    assert going(both) == {first, child}


def test_a_newer_versions_run_and_a_damaged_ones_contents_stay(house: House) -> None:
    newer, damaged = house.run(["x" * 40_000]).run_id, house.run(["y" * 40_000]).run_id
    path = house.store.path(newer)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b'{"seq":0,"kind":"header","data":{"schema":"wardian.run/9"}}\n' + lines[1])
    path = house.store.path(damaged)
    path.write_bytes(
        path.read_bytes().replace(b'"kind":"model_replied"', b'"kind":"modelXreplied"')
    )
    path.write_bytes(path.read_bytes().replace(b'"$blob"', b'"$blub"'))
    sweep = plan(house.store.root, filters=Filters())
    assert (sweep.runs, sweep.leftovers) == ([], [])
    assert newer not in going(plan(house.store.root, filters=Filters(status=("unfinished",))))


def test_contents_that_nothing_refers_to_go_and_the_others_stay(house: House) -> None:
    script: list[Answer] = [
        [("write_file", {"path": "a.txt", "content": "one"})],
        "z" * 40_000,
    ]
    run = house.run(script).run_id
    folder = house.store.root / run
    for name in ("blobs/" + "0" * 64, "files/" + "0" * 64, "files/.draft", "states/000099.json"):
        (folder / name).write_bytes(b"x" * 100)
    (house.store.root / "01NEVERBEGAN").mkdir()
    (house.store.root / "01NEVERBEGAN" / "trajectory.jsonl").write_bytes(b"")
    (house.store.root / ".removing-01X" / "blobs").mkdir(parents=True)
    before = house.load(run)
    sweep = plan(house.store.root, filters=Filters())
    assert {one.path.name for one in sweep.leftovers} == {
        "0" * 64,
        ".draft",
        "000099.json",
        "01NEVERBEGAN",
        ".removing-01X",
    }
    assert swept(house, sweep) == []
    assert plan(house.store.root, filters=Filters()).leftovers == []
    assert house.load(run) == before
    states = States(folder)
    assert states.lay(states.latest, house.workspace.parent / "laid", is_part=True) == []
    assert house.store.ids() == [run]


SWEEPER = """
import os, signal, sys
from pathlib import Path
from wardian.runs.filters import Filters
from wardian.runs.sweeping import apply, plan

name, k, root = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
sweep = plan(root, filters=Filters(min_steps=1), keep=1)
real, count = getattr(os, name), 0

def deadly(*arguments, **more):
    global count
    count += 1
    if count == k:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **more)

setattr(os, name, deadly)
apply(root, sweep, print)
"""


@pytest.mark.parametrize(("name", "stride"), [("unlink", 6), ("rename", 1)])
def test_a_sweep_that_is_killed_leaves_whole_runs_and_is_finished_by_the_next(
    house: House, tmp_path: Path, name: str, stride: int
) -> None:
    call = [("write_file", {"path": "a.txt", "content": "one"})]
    runs = [house.run([call, "z" * 40_000]).run_id for _ in range(3)]
    plan(house.store.root, filters=Filters())
    for k in range(1, 40, stride):
        root = tmp_path / f"copy{k}"
        shutil.copytree(house.store.root, root)
        command = [sys.executable, "-c", SWEEPER, name, str(k), str(root)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        copy = House(type(house.store)(root), house.workspace)
        left = copy.store.ids()
        assert left == [run for run in runs[::-1] if run in left]
        for run in left:
            assert copy.load(run).damage == ()
            assert States(root / run).count == States(house.store.root / run).count
        swept(copy, plan(root, filters=EVERY, keep=1))
        names = {path.name for path in root.iterdir() if path.name != ".workspaces"}
        assert names == {runs[-1], ".search.sqlite3"}
        if done.returncode == 0:
            break
