"""A text is found wherever it stands in recorded runs, and never where it is a secret."""

import asyncio
from pathlib import Path

import pytest
from tests.viewing.conftest import ATTACK

from wardian import Agent, RunStore, ScriptedModel, Trajectory
from wardian.cli.reading import as_read
from wardian.runs.encode import line
from wardian.viewing.finding import Found, find, may_hold
from wardian.viewing.page import page


def places(store: RunStore, text: str, known: dict[str, str] | None = None) -> list[Found]:
    return list(find(store, text, lambda run: as_read(run, known or {})))


def record(store: RunStore, prompt: str, answer: str) -> str:
    agent = Agent(ScriptedModel([answer]), store=store)
    return asyncio.run(agent.run(prompt)).run_id


@pytest.mark.parametrize(
    "text",
    [
        'say "hello"',
        "back\\slash",
        "two\nlines",
        "tab\there",
        "Übergrößen",
        "日本語",
        "a/b",
        "\ud800x",
    ],
    ids=["quotes", "backslash", "newline", "tab", "umlaut", "japanese", "slash", "surrogate"],
)
def test_a_text_is_found_however_the_log_writes_it(store: RunStore, text: str) -> None:
    record(store, "nothing of the kind", "nothing either")
    run_id = record(store, f"before {text} behind", "done")
    assert [(one.run_id, one.where) for one in places(store, text)] == [(run_id, "task")]


def test_case_does_not_matter_and_the_newest_run_is_first(store: RunStore) -> None:
    runs = [record(store, "plain", f"The NEEDLE number {number}") for number in range(3)]
    found = [one.run_id for one in places(store, "needle Number") if one.where == "reply"]
    assert found == runs[::-1]


def test_calls_results_and_reasoning_are_searched(store: RunStore, hostile: Trajectory) -> None:
    found = {one.where for one in places(store, "document.title='owned'")}
    assert found == {
        "task",
        "draw call",
        "edit call",
        "draw result",
        "reply",
        "reasoning",
        "answer",
    }
    assert all(one.run_id == hostile.run_id for one in places(store, ATTACK[:40]))


def test_what_stands_beside_the_log_is_found_too(store: RunStore) -> None:
    record(store, "long", "x" * 50_000 + "needle")
    [reply, answer] = places(store, "needle")
    assert (reply.where, answer.where) == ("reply", "answer")
    assert reply.excerpt.endswith("xneedle")
    assert len(reply.excerpt) < 200


def test_a_secret_registered_since_is_not_found(store: RunStore) -> None:
    record(store, "the key is hunter2-hunter2", "noted")
    assert places(store, "hunter2-hunter2")
    assert places(store, "hunter2-hunter2", {"KEY": "hunter2-hunter2"}) == []
    [shown] = places(store, "the key is", {"KEY": "hunter2-hunter2"})
    assert "hunter2" not in shown.excerpt


def test_a_run_without_the_text_need_not_be_read(store: RunStore) -> None:
    run_id = record(store, "one", "two")
    assert not may_hold(store.root / run_id, b"needle")
    assert may_hold(store.root / run_id, b"one")


def test_a_run_of_a_newer_version_is_left_out_and_named(store: RunStore) -> None:
    path = store.path(record(store, "needle", "old"))
    path.write_bytes(path.read_bytes().replace(b"wardian.run/1", b"wardian.run/9"))
    lines = path.read_bytes().splitlines(keepends=True)
    at = lines[0].index(b',"crc"')
    path.write_bytes(lines[0][:at] + lines[0][at + 17 :] + b"".join(lines[1:]))
    said: list[str] = []
    assert list(find(store, "needle", lambda run: run, said.append)) == []
    assert "newer" in "".join(said)


def test_a_damaged_folder_breaks_no_search(store: RunStore, tmp_path: Path) -> None:
    del tmp_path
    record(store, "needle", "whole")
    (store.root / "01").mkdir()
    (store.root / "01" / "trajectory.jsonl").write_bytes(b"\0" * 100 + b"needle")
    assert [one.where for one in places(store, "needle")] == ["task"]


@pytest.mark.parametrize("depth", [100, 420, 100_000])
def test_values_nested_however_deeply_break_neither_search_nor_page(
    store: RunStore, depth: int
) -> None:
    path = store.path(record(store, "needle", "whole"))
    deep = '{"a":' * depth + "1" + "}" * depth
    rule = '{"text":"t","source":"s"}'
    call = f'{{"id":"c","name":"n","arguments_text":"","arguments":{{"a":{deep}}}}}'
    data = f'{{"step":1,"call":{call},"decision":{{"reason":"r","rule":{rule}}}}}'
    with path.open("ab") as log:
        log.write(line(99, "2026", 1.0, "call_decided", data.encode()))
    assert [one.where for one in places(store, "needle", {"K": "s3cr3t-s3cr3t"})] == ["task"]
    run = as_read(store.load("last"), {"K": "s3cr3t-s3cr3t"})
    assert "whole" in page(run)
    assert len(run.damage) <= (depth > 100)
