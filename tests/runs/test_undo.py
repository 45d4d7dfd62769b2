"""Undo takes back what a run did to files, and nothing that was done since."""

import shutil
from pathlib import Path

import pytest
from tests.runs.conftest import House

from wardian import Agent, ScriptedModel
from wardian.errors import ConfigurationError, StorageError
from wardian.models.replies import Answer
from wardian.runs import RunLog, RunStore
from wardian.runs.states import States
from wardian.runs.undo import changes_to_undo, take_back, undo

SCRIPT: list[Answer] = [
    [("write_file", {"path": "a.txt", "content": "one"})],
    [("shell", {"command": "echo two > a.txt; rm old.txt; mkdir -p d/e; echo x > d/e/f"})],
    [("read_file", {"path": "a.txt"})],
    "Done.",
]


def files(house: House) -> dict[str, str]:
    return {
        str(path.relative_to(house.workspace)): path.read_text()
        for path in sorted(house.workspace.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def ran(house: House) -> House:
    (house.workspace / "old.txt").write_text("old")
    assert house.run(SCRIPT).answer == "Done."
    return house


def test_a_whole_run_is_taken_back(ran: House) -> None:
    undone = undo(ran.store, "last")
    assert (undone.steps, undone.conflicts) == ((1, 2), ())
    assert files(ran) == {"old.txt": "old"}
    assert not (ran.workspace / "d").exists()


def test_steps_are_taken_back_one_by_one(ran: House) -> None:
    assert undo(ran.store, "last", last_step_only=True).steps == (2,)
    assert files(ran) == {"a.txt": "one", "old.txt": "old"}
    assert undo(ran.store, "last", last_step_only=True).steps == (1,)
    assert files(ran) == {"old.txt": "old"}
    with pytest.raises(ConfigurationError, match="taken back already"):
        undo(ran.store, "last", last_step_only=True)


def test_of_a_step_with_several_calls_all_is_taken_back(house: House) -> None:
    (house.workspace / "old.txt").write_text("old")
    calls: Answer = [
        ("write_file", {"path": "a.txt", "content": "one"}),
        ("shell", {"command": "rm old.txt"}),
        ("write_file", {"path": "b.txt", "content": "two"}),
    ]
    house.run([calls, "Done."])
    undone = undo(house.store, "last", last_step_only=True)
    assert (undone.steps, undone.paths) == ((1,), ("a.txt", "b.txt", "old.txt"))
    assert files(house) == {"old.txt": "old"}


def test_what_was_changed_since_is_named_and_left_alone(ran: House) -> None:
    (ran.workspace / "a.txt").write_text("mine")
    (ran.workspace / "d" / "new.txt").write_text("mine too")
    undone = undo(ran.store, "last")
    assert undone.conflicts == ("a.txt",)
    assert files(ran) == {"a.txt": "mine", "d/new.txt": "mine too", "old.txt": "old"}


def test_a_run_in_the_folder_that_holds_the_runs_changed_only_what_it_did(tmp_path: Path) -> None:
    """As in somebody's home folder."""
    store = RunStore(tmp_path / ".local" / "runs")
    script: list[Answer] = [[("write_file", {"path": "a.txt", "content": "one"})], "Done."]
    run = Agent(ScriptedModel(script), workspace=tmp_path, store=store).run_sync("Write it.")
    finished = store.load(run.run_id).finished
    assert finished is not None
    assert [change["path"] for change in finished.changes] == ["a.txt"]
    assert undo(store, "last").paths == ("a.txt",)
    assert not (tmp_path / "a.txt").exists()


def test_what_the_user_changed_between_two_runs_steps_stays(ran: House) -> None:
    (ran.workspace / "notes.txt").write_text("mine")
    ran.run([[("write_file", {"path": "b.txt", "content": "b"})], "Done."])
    undo(ran.store, "last")
    assert "b.txt" not in files(ran)
    assert files(ran)["notes.txt"] == "mine"
    assert files(ran)["a.txt"] == "two\n"


def test_it_is_recorded_behind_the_runs_end(ran: House) -> None:
    undo(ran.store, "last")
    trajectory = ran.load()
    assert [event.kind for event in trajectory.events][-2:] == ["run_finished", "changes_undone"]
    assert trajectory.finished is not None
    assert next(iter(ran.store.list())).stop == "done"


def test_a_run_that_goes_on_is_not_undone(ran: House) -> None:
    log = RunLog.reopen(ran.store.root / ran.load().run_id)
    with pytest.raises(StorageError, match="in use"):
        undo(ran.store, "last")
    log.close()
    assert "a.txt" in files(ran)


def test_a_run_in_a_copy_left_nothing_to_take_back(house: House) -> None:
    house.run([*SCRIPT[:1], "Done."], workspace_mode="copy")
    with pytest.raises(ConfigurationError, match="in a copy: your folder is as it was"):
        undo(house.store, "last")


def test_where_nothing_can_be_written_it_says_so_and_changes_nothing(ran: House) -> None:
    before = files(ran)
    run = ran.load()
    states = States(run.path.parent)
    changes = changes_to_undo(run)
    shutil.move(run.path.parent, gone := run.path.parent.with_name("gone"))
    with pytest.raises(StorageError, match="cannot be put back: No such file or directory"):
        take_back(states, changes, ran.workspace)
    assert files(ran) == before
    shutil.move(gone, run.path.parent)
    take_back(states, changes, ran.workspace)
    assert files(ran) == {"old.txt": "old"}


def test_what_a_call_that_was_cut_off_may_have_done_is_named_and_left_alone(ran: House) -> None:
    ran.cut(ran.store.find("last"), ran.places("last", "call_started")[1] + 1)
    undone = undo(ran.store, "last")
    assert (undone.steps, undone.paths) == ((1,), ())
    assert undone.conflicts == ("a.txt", "d", "d/e", "d/e/f", "old.txt")
    with pytest.raises(ConfigurationError, match="cut off may have changed"):
        undo(ran.store, "last")
