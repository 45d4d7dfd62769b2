"""Parquet files are read by others, hold what the log holds, and are written group by group."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.export.test_formats import READ
from tests.runs.conftest import House

from wardian.events import Labelled, Rated
from wardian.export import Split, export
from wardian.export import parquet as module
from wardian.export.parquet import COLUMNS, MESSAGE, REPLY, ParquetFile
from wardian.reruns.forking import annotate

pytest.importorskip("pyarrow", reason="the extra data is not installed")


def table(house: House, **options: Any) -> Any:
    import pyarrow.parquet

    output = house.workspace.parent / "rows.parquet"
    done = export(
        house.store, house.store.ids()[::-1], format_name="parquet", output=output, **options
    )
    assert done.rows == len(house.store.ids())
    assert done.files[0]["bytes"] == output.stat().st_size
    return pyarrow.parquet.read_table(output)


def test_a_row_says_what_the_run_s_log_says(house: House) -> None:
    run = house.run(READ, tags=("mine",)).run_id
    annotate(house.store, run, Labelled(name="reward", value="0.5"))
    annotate(house.store, run, Rated(step=0, good=True))
    [row] = table(house).to_pylist()
    assert set(row) == set(COLUMNS)
    assert set(row["messages"][0]) == set(MESSAGE)
    assert set(row["replies"][0]) == set(REPLY)
    assert (row["run_id"], row["status"], row["steps"]) == (run, "done", 2)
    assert (row["reward"], row["rated"], row["tags"]) == (0.5, "good", ["mine"])
    assert json.loads(row["labels"]) == {"reward": "0.5"}
    assert isinstance(row["started"], datetime)
    assert abs(row["started"] - datetime.now(UTC)).total_seconds() < 600
    assert [one["role"] for one in row["messages"]][-1] == "assistant"


def test_arguments_of_one_call_are_never_mixed_with_another_s(house: House) -> None:
    house.run([[("read_file", {"path": "a.txt"})], [("list_files", {"path": "."})], "Done."])
    house.run([[("write_file", {"path": "b", "content": "x"})], "Done."])
    calls = [
        json.loads(call["arguments"])
        for row in table(house).to_pylist()
        for message in row["messages"]
        for call in message["calls"]
    ]
    assert calls == [{"path": "a.txt"}, {"path": "."}, {"path": "b", "content": "x"}]


def test_a_malformed_call_keeps_its_text_and_its_problem(house: House) -> None:
    house.run([[("read_file", {"wrong": 1})], "I could not."])
    [row] = table(house).to_pylist()
    [call] = [call for one in row["messages"] for call in one["calls"]]
    assert json.loads(call["arguments"]) == {"wrong": 1}
    assert call["problem"]


def test_rows_are_written_in_groups_as_they_come(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet

    for number in range(5):
        house.run([f"Answer {number}."])
    monkeypatch.setattr(module, "GROUP_ROWS", 2)
    assert table(house).num_rows == 5
    file = pyarrow.parquet.ParquetFile(house.workspace.parent / "rows.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [2, 2, 1]


def test_nothing_is_left_of_a_file_that_is_not_finished(house: House, tmp_path: Path) -> None:
    file = ParquetFile(tmp_path / "x.parquet")
    file.drop()
    house.run(["It is hunter2-Kf9vQ2xLp7Zr4."])
    secrets = {"PASSWORD": "hunter2-Kf9vQ2xLp7Zr4"}
    with pytest.raises(Exception, match="registered secret"):
        table(house, secrets=secrets)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "workspace"]


def test_parts_and_lone_surrogates_are_written(house: House) -> None:
    for number in range(4):
        house.run([f"Odd \ud800 {number}."])
    output = house.workspace.parent / "rows.parquet"
    split = Split.of("train:0.5,dev:0.5")
    export(house.store, house.store.ids(), format_name="parquet", output=output, split=split)
    import pyarrow.parquet

    read = [pyarrow.parquet.read_table(path).num_rows for path in split.paths(output).values()]
    assert sum(read) == 4


def test_it_loads_as_a_dataset(house: House) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    house.run(READ)
    table(house)
    made = datasets.load_dataset(
        "parquet",
        data_files=str(house.workspace.parent / "rows.parquet"),
        split="train",
        cache_dir=str(house.workspace.parent / "cache"),
    )
    assert made[0]["messages"][-1]["content"] == "Two lines."
