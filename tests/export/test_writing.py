"""Which runs are exported, to which file, and what keeps a file from being written."""

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.export.conftest import rows
from tests.runs.conftest import House
from tests.runs.test_preferences import forked

from wardian import SubAgent
from wardian.errors import ConfigurationError
from wardian.events import Rated
from wardian.export import Filters, Rating, Split, export
from wardian.export.cleaning import Cleaning
from wardian.export.overlap import Overlap
from wardian.export.protected import protected_file, protected_texts
from wardian.export.rows import family
from wardian.models.replies import Answer
from wardian.reruns.forking import annotate

READ: list[Answer] = [[("read_file", {"path": "a.txt"})], "Two lines."]
SAID: list[Answer] = ["Nothing to do."]
SECRET = "hunter2-Kf9vQ2xLp7Zr4"


def test_each_filter_admits_the_runs_it_names(house: House) -> None:
    read = house.run(READ).run_id
    house.run(SAID)
    annotate(house.store, read, Rated(step=0, good=True))
    now = datetime.now(UTC)
    for chosen in (
        Filters(tools=("read_file",)),
        Filters(rated=Rating.GOOD),
        Filters(min_steps=2),
    ):
        assert list(rows(house, "atif", filters=chosen)[1].run_ids) == [read]
    for every in (
        Filters(status=("done",)),
        Filters(model="mod*"),
        Filters(since=now - timedelta(hours=1)),
    ):
        assert rows(house, "atif", filters=every)[1].rows == 2
    for none in (
        Filters(status=("unfinished",)),
        Filters(model="other"),
        Filters(since=now + timedelta(hours=1)),
        Filters(rated=Rating.BAD),
        Filters(tags=("mine",)),
    ):
        assert rows(house, "atif", filters=none)[1].rows == 0


def test_the_later_rating_stands(house: House) -> None:
    run = house.run(SAID).run_id
    annotate(house.store, run, Rated(step=0, good=True))
    annotate(house.store, run, Rated(step=0, good=False))
    assert rows(house, "openai", filters=Filters(rated=Rating.BAD))[1].rows == 1


def test_identical_rows_are_written_once(house: House) -> None:
    house.run(READ)
    house.run(READ)
    made, done = rows(house, "openai")
    assert (len(made), done.duplicates) == (1, 1)


def test_rows_that_are_nearly_alike_are_written_once_where_that_is_asked(house: House) -> None:
    text = " ".join(f"word{number}" for number in range(200))
    for answer in (text, text.replace("word7 ", "other "), "Something else altogether."):
        house.run([answer])
    assert rows(house, "openai")[1].rows == 3
    _, done = rows(house, "openai", cleaning=Cleaning(near=0.8))
    assert (done.rows, done.near_duplicates) == (2, 1)


def test_rows_that_give_a_test_away_are_left_out_and_their_like_is_not(house: House) -> None:
    task = "Count how many of the customers in orders.csv paid more than 40 dollars in March."
    for prompt in (f"Please do this. {task}", "Count the lines of every file in this folder."):
        house.agent(["Done."]).run_sync(prompt)
    protected = Overlap(protected_texts([{"id": "orders/1", "prompt": task, "files": {"a": "b"}}]))
    made, done = rows(house, "openai", cleaning=Cleaning(protected=protected))
    assert (len(made), done.contaminated) == (1, 1)
    assert "lines of every file" in json.dumps(made)


def test_protected_texts_are_read_from_rows_and_from_lines(tmp_path: Path) -> None:
    path = tmp_path / "tests.jsonl"
    path.write_text(
        '{"id": "a", "prompt": "Count these.", "answer": "four", "tags": ["no"],'
        ' "verifier": {"rubric": "Are they four or five?"}}\n'
        '{"messages": [{"role": "system", "content": "no"}, {"role": "user", "content": "Add."}]}\n'
        "A line of text\n"
    )
    assert [text for _, text in protected_file(path)] == [
        "Count these.",
        "Are they four or five?",
        "Add.",
        "A line of text",
    ]


def test_a_registered_secret_in_a_row_ends_the_export_without_a_file(house: House) -> None:
    house.run(SAID)
    run = house.run([f"The password is {SECRET}."]).run_id
    with pytest.raises(ConfigurationError) as refused:
        rows(house, "openai", secrets={"PASSWORD": SECRET})
    assert run in str(refused.value)
    assert SECRET not in str(refused.value)
    assert sorted(path.name for path in house.workspace.parent.iterdir()) == ["runs", "workspace"]
    assert rows(house, "openai", secrets={"PASSWORD": "another-Kf9vQ2xLp7"})[1].rows == 2


def test_a_secret_in_a_calls_arguments_is_found_too(house: House) -> None:
    house.run([[("read_file", {"path": SECRET})], "None."])
    with pytest.raises(ConfigurationError):
        rows(house, "openai", secrets={"PASSWORD": SECRET})


def test_a_damaged_run_is_left_out_and_a_torn_one_is_not(house: House) -> None:
    torn, damaged = house.run(READ).run_id, house.run(SAID).run_id
    with house.store.path(torn).open("ab") as stream:
        stream.write(b'{"seq":99')
    path = house.store.path(damaged)
    path.write_bytes(path.read_bytes().replace(b"Nothing to do.", b"Nothing 2 do.."))
    _, done = rows(house, "openai")
    assert list(done.run_ids) == [torn]
    assert done.left_out == {"its log is damaged": 1}


def test_a_lone_surrogate_becomes_readable_utf8(house: House) -> None:
    house.run(["Odd \ud800 text."])
    [row], _ = rows(house, "openai")
    assert "Odd \ufffd" in row["messages"][-1]["content"]


def test_the_digest_and_the_counts_are_those_of_the_file(house: House) -> None:
    house.run(READ)
    _, done = rows(house, "trl-sft")
    content = (house.workspace.parent / "rows.jsonl").read_bytes()
    assert done.files == [
        {
            "name": "rows.jsonl",
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "rows": 1,
        }
    ]


def test_a_split_writes_every_row_to_one_part_and_the_same_one_again(house: House) -> None:
    for number in range(6):
        house.run([f"Answer {number}."])
    output = house.workspace.parent / "rows.jsonl"
    split = Split.of("train:0.5,dev:0.5")

    def parts() -> list[list[str]]:
        done = export(
            house.store, house.store.ids(), format_name="openai", output=output, split=split
        )
        assert done.rows == 6
        assert not output.exists()
        return [path.read_text().splitlines() for path in split.paths(output).values()]

    first = parts()
    assert sum(map(len, first)) == 6
    assert parts() == first


def test_whatever_came_of_one_run_is_in_one_family(house: House) -> None:
    reader = SubAgent(name="reader", description="Reads.", tools=())
    whole = house.run([[("reader", {"task": "Read."})], "Done."], subagents=[reader])
    first = forked(house, ["Otherwise."], whole.run_id)
    forked(house, ["Once more."], first)
    runs = [house.load(run_id) for run_id in house.store.ids()]
    assert len(runs) == 4
    assert {family(run, house.store.load) for run in runs} == {whole.run_id}


def test_a_run_never_leaves_the_first_part_when_that_grows() -> None:
    ids = [f"run {number}" for number in range(500)]
    before: set[str] = set()
    for tenths in range(11):
        split = Split.of(f"train:{tenths / 10},dev:{1 - tenths / 10}")
        train = {run_id for run_id in ids if split.part(run_id) == "train"}
        assert before <= train
        assert abs(len(train) / len(ids) - tenths / 10) < 0.1
        before = train


@pytest.mark.parametrize("text", ["", "train", "train:0.9", "a:0.5,a:0.5", "a/b:1", "a:2,b:-1"])
def test_what_is_no_split_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Split.of(text)


def test_the_command_writes_a_card_and_refuses_what_it_must(house: House, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    run = house.run([f"It is {SECRET}."]).run_id
    house.store.root.rename(home / "runs")
    environ = os.environ | {"WARDIAN_HOME": str(home)}

    def agent(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "wardian", "export", *words],
            env=environ | more,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    refused = agent("--format", "openai", "last", "-o", "o.jsonl", SERVICE_API_KEY=SECRET)
    assert refused.returncode == 3
    assert run in refused.stderr
    assert SECRET not in refused.stderr
    assert not (tmp_path / "o.jsonl").exists()
    done = agent("--format", "openai", "--all", "-o", "o.jsonl", "--status", "done")
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "o.jsonl.card.json").read_text())
    assert card["run_ids"] == [run]
    assert card["filters"] == {"status": ["done"]}
    digest = hashlib.sha256((tmp_path / "o.jsonl").read_bytes()).hexdigest()
    assert card["files"][0]["sha256"] == digest
    assert agent("--format", "none", "--all", "-o", "x").returncode == 2
