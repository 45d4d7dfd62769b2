"""The store finds, lists and removes runs, and is not thrown by a damaged one."""

import asyncio
from pathlib import Path

import pytest

from wardian.errors import RunNotFound, StorageError
from wardian.events import RunFinished, RunStarted
from wardian.runs import RunStore
from wardian.types import Stop, Task, Usage

A, B = "01AAAAAAAAAAAAAAAAAAAAAAAA", "01AAAAAAAAAAAAAAAAAAAAAAAB"


def store_with(root: Path, *run_ids: str) -> RunStore:
    store = RunStore(root)
    for run_id in run_ids:
        log = store.create(run_id)
        started = RunStarted(
            run_id=run_id,
            task=Task(prompt="count"),
            system_prompt="",
            model={"name": "m"},
            tools=(),
            policy={},
            sandbox={},
            workspace="/w",
            wardian_version="0",
        )
        finished = RunFinished(
            stop=Stop.DONE, answer="4", steps=2, tool_calls=1, usage=Usage(), seconds=1.0
        )
        asyncio.run(log.append([started, finished]))
        log.close()
    return store


def test_runs_are_listed_newest_first_with_their_outcome(tmp_path: Path) -> None:
    summaries = list(store_with(tmp_path, A, B).list())
    assert [s.run_id for s in summaries] == [B, A]
    assert {(s.prompt, s.model, s.stop, s.steps) for s in summaries} == {("count", "m", "done", 2)}


def test_a_home_without_runs_lists_none(tmp_path: Path) -> None:
    assert list(RunStore(tmp_path / "nowhere").list()) == []


def test_a_damaged_run_is_listed_as_unfinished(tmp_path: Path) -> None:
    store = store_with(tmp_path, A)
    store.path(A).write_bytes(b"\x00garbage")
    assert [(s.stop, s.prompt) for s in store.list()] == [("unfinished", "")]


@pytest.mark.parametrize("name", [B, "last", "AB", B.lower()])
def test_a_run_is_found_by_id_end_or_last(tmp_path: Path, name: str) -> None:
    assert store_with(tmp_path, A, B).find(name) == B


@pytest.mark.parametrize(
    ("name", "cause"), [("01A", "several runs"), ("ZZ", "no stored run"), ("", "no stored run")]
)
def test_an_unknown_or_ambiguous_name_is_refused(tmp_path: Path, name: str, cause: str) -> None:
    with pytest.raises(RunNotFound, match=cause):
        store_with(tmp_path, A, B).find(name)


def test_a_removed_run_is_gone(tmp_path: Path) -> None:
    store = store_with(tmp_path, A, B)
    assert store.remove(A) == A
    assert store.ids() == [B]


def test_a_run_in_use_is_not_removed(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    log = store.create(A)
    with pytest.raises(StorageError, match="in use"):
        store.remove(A)
    log.close()
    assert store.ids() == [A]


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_a_home_that_is_no_folder_is_said_to_be_none(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "home"
    home.touch() if kind == "file" else home.symlink_to("nowhere")
    with pytest.raises(StorageError, match=f"{home} is no folder"):
        RunStore(home / "runs").create("01A")
