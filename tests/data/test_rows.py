"""Rows are read back as they were written, and what is not one is refused with its line."""

import json

import pytest
from tests.data.conftest import Shelf, Turn

from wardian.cli.dispatch import dispatch
from wardian.data.attempts import STATUS
from wardian.data.rows import Dataset, PairRow, TokenRow, read_row, written
from wardian.errors import ConfigurationError
from wardian.types import Stop


@pytest.fixture
def dataset(shelf: Shelf) -> Dataset:
    shelf.add(Turn(runs="good"), "Right.", task="a/1", reward=1.0)
    shelf.add(Turn(runs="bad"), "Wrong.", task="a/1", reward=0.0)
    return shelf.build("sft")


@pytest.mark.parametrize("goal", ["sft", "steps", "dpo", "kto"])
def test_every_row_is_the_same_after_reading(dataset: Dataset, shelf: Shelf, goal: str) -> None:
    built = shelf.build(goal, name="other.jsonl")
    lines = built.path.read_bytes().splitlines()
    assert [written(row) for row in built.any_rows()] == lines


def test_rows_of_another_kind_are_not_given(dataset: Dataset) -> None:
    with pytest.raises(ConfigurationError, match="'pair' was wanted"):
        dataset.rows(PairRow)


def test_a_damaged_row_is_named_by_its_line(dataset: Dataset) -> None:
    with dataset.path.open("ab") as file:
        file.write(b'{"origin": 3}\n')
    with pytest.raises(ConfigurationError, match=r"Line 2 of .*rows.jsonl is no 'tokens' row"):
        list(dataset.rows(TokenRow))
    with pytest.raises(ConfigurationError, match="has changed since its card"):
        dataset.check_unchanged()


def test_columns_of_different_lengths_are_refused(dataset: Dataset) -> None:
    row = json.loads(dataset.path.read_bytes())
    row["loss_mask"].pop()
    with pytest.raises(ConfigurationError, match="different lengths"):
        read_row(json.dumps(row).encode(), TokenRow, "It")


def test_a_file_without_a_card_is_no_dataset(dataset: Dataset) -> None:
    card = dataset.path.with_name("rows.jsonl.card.json")
    card.write_text("{}")
    with pytest.raises(ConfigurationError, match="no card of training data"):
        Dataset.open(dataset.path)
    card.write_text("[" * 1_000_000)
    with pytest.raises(ConfigurationError, match="is not JSON"):
        Dataset.open(dataset.path)
    card.unlink()
    with pytest.raises(ConfigurationError, match="card lies beside it"):
        Dataset.open(dataset.path)


def test_nothing_in_a_row_reaches_the_terminal_raw(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.add("evil \x1b[31m\u202e answer", reward=1.0, with_ids=False)
    shelf.build("sft")
    monkeypatch.chdir(shelf.folder)
    assert dispatch(["data", "show", "rows.jsonl"]) == 0
    shown = capsys.readouterr().out
    assert "[assistant] {+evil \\x1b[31m\\u202e answer+}" in shown
    assert not {"\x1b", "\u202e"} & set(shown)


def test_every_way_a_run_may_end_has_a_status() -> None:
    assert set(STATUS) == set(Stop)
