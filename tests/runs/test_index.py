"""The index says what the logs say, and can be lost at any moment."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest
from tests.runs.conftest import House

from wardian.errors import StorageError
from wardian.events import Rated
from wardian.runs import RunLog, RunSummary
from wardian.runs.encode import line
from wardian.runs.index import VERSION, RunIndex
from wardian.runs.search import SearchIndex
from wardian.runs.summary import summarised


def truth(root: Path) -> list[RunSummary]:
    paths = sorted(root.glob("*/trajectory.jsonl"), reverse=True)
    return [summary for path in paths if (summary := summarised(path))]


@pytest.fixture
def root(house: House) -> Path:
    for index in range(3):
        house.run([f"answer {index}"])
    return house.store.root


def test_it_says_what_the_logs_say(root: Path) -> None:
    for _ in range(2):
        assert RunIndex(root).summaries() == truth(root)


def test_what_changed_since_is_read_again(root: Path, house: House) -> None:
    index = RunIndex(root)
    index.summaries()
    first, second, _ = house.store.ids()
    house.store.remove(first)
    house.cut(second, 3)
    house.run(["one more"])
    found = index.summaries()
    assert found == truth(root)
    assert [summary.stop for summary in found] == ["done", "unfinished", "done"]


@pytest.mark.parametrize(
    "harm",
    ["lost", "empty", "garbage", "cut", "flipped", "another version", "no table", "other table"],
)
def test_a_lost_or_damaged_index_is_made_anew(root: Path, harm: str) -> None:
    index = RunIndex(root)
    index.summaries()
    content = index.path.read_bytes()
    if harm == "lost":
        index.path.unlink()
    elif harm in ("another version", "no table", "other table"):
        database = sqlite3.connect(index.path)
        if harm == "another version":
            database.execute(f"PRAGMA user_version = {VERSION + 1}")
        else:
            database.execute("DROP TABLE runs")
        if harm == "other table":
            database.execute("CREATE TABLE runs (mood TEXT)")
        database.commit()
        database.close()
    else:
        flipped = bytes(byte ^ 0xFF for byte in content[100:])
        index.path.write_bytes(
            {
                "empty": b"",
                "garbage": b"not a database" * 100,
                "cut": content[: len(content) // 2],
                "flipped": content[:100] + flipped,
            }[harm]
        )
    assert index.summaries() == truth(root)
    assert index.summaries() == truth(root)


def test_where_none_can_be_kept_the_runs_are_read(root: Path) -> None:
    RunIndex(root).path.mkdir()
    assert RunIndex(root).summaries() == truth(root)


def test_it_is_private_whatever_the_umask(root: Path) -> None:
    before = os.umask(0)
    try:
        RunIndex(root).summaries()
    finally:
        os.umask(before)
    assert RunIndex(root).path.stat().st_mode & 0o777 == 0o600


def test_a_run_that_never_began_is_not_listed(root: Path, house: House) -> None:
    RunLog.create(root / "01ZZZZZZZZZZZZZZZZZZZZZZZZ").close()
    assert len(RunIndex(root).summaries()) == 3
    assert len(list(house.store.list())) == 3
    assert house.load("last").started is not None


def test_what_stands_behind_its_end_does_not_hide_it(root: Path, house: House) -> None:
    log = RunLog.reopen(root / house.store.find("last"))
    for _ in range(50):
        log.note(Rated(step=0, good=True))
    log.close()
    assert RunIndex(root).summaries()[0].stop == "done"


def test_a_prompt_with_lone_surrogates_is_listed(house: House) -> None:
    asyncio.run(house.agent(["ok"]).run("\ud800 go"))
    assert [summary.stop for summary in RunIndex(house.store.root).summaries()] == ["done"]


def test_what_a_newer_version_wrote_behind_its_end_does_not_hide_it(
    root: Path, house: House
) -> None:
    path = house.store.path("last")
    with path.open("ab") as stream:
        stream.write(line(len(house.load().records), "x", 0.0, "dreamt", b'{"of":"sheep"}'))
    assert house.load().damage == ()
    assert RunIndex(root).summaries()[0].stop == "done"


def test_how_far_an_unfinished_run_came_is_listed(house: House) -> None:
    run = house.run([[("todo", {"items": []})], [("todo", {"items": []})], "Done."])
    house.cut_before(run.run_id, "model_asked", 2)
    for found in (next(house.store.list()), RunIndex(house.store.root).summaries()[0]):
        assert (found.stop, found.steps) == ("unfinished", 2)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_something_else_in_a_logs_place_is_neither_read_nor_waited_for(
    root: Path, house: House, kind: str
) -> None:
    folder = root / "01ZZZZZZZZZZZZZZZZZZZZZZZZ"
    folder.mkdir()
    if kind == "pipe":
        os.mkfifo(folder / "trajectory.jsonl")
    else:
        (folder / "trajectory.jsonl").symlink_to("/dev/zero")
    assert len(list(house.store.list())) == len(RunIndex(root).summaries()) == 3
    assert len(SearchIndex(root).facts()) == 3
    assert house.load("last").finished
    for use in (house.load, house.store.remove, lambda _: RunLog.reopen(folder)):
        with pytest.raises(StorageError):
            use(folder.name)
