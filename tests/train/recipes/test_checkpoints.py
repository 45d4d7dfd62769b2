"""A folder belongs to the training that did something in it, and to no other."""

from pathlib import Path
from typing import Any

import pytest

from wardian.errors import ConfigurationError
from wardian.train.base import prepare
from wardian.train.checkpoints import CHECKPOINTS, MARK, begin
from wardian.train.recipe import Method, Recipe, recipe_of


def recipe(out: Path, **more: Any) -> Recipe:
    return recipe_of(Method.SFT, {"base": "tiny", "data": "rows.jsonl", "out": str(out), **more})


def test_a_folder_in_which_nothing_was_done_is_free_for_another_training(tmp_path: Path) -> None:
    begin(recipe(tmp_path), {"data_sha256": "a"}, fresh=False)
    assert begin(recipe(tmp_path), {"data_sha256": "b"}, fresh=False) is None
    assert begin(recipe(tmp_path, **{"training.epochs": 9}), {}, fresh=False) is None


@pytest.mark.parametrize("made", ["metrics.jsonl", f"{CHECKPOINTS}/checkpoint-1/{MARK}"])
def test_a_training_that_did_something_is_not_gone_on_from_by_another(
    tmp_path: Path, made: str
) -> None:
    begin(recipe(tmp_path), {}, fresh=False)
    (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / made).touch()
    with pytest.raises(ConfigurationError, match=r"training\.epochs is not the same"):
        begin(recipe(tmp_path, **{"training.epochs": 9}), {}, fresh=False)
    indifferent = {"training.checkpoint_steps": 7}
    again = begin(recipe(tmp_path, **indifferent), {}, fresh=False)
    assert again == (tmp_path / made).parent if MARK in made else again is None
    assert begin(recipe(tmp_path, **{"training.epochs": 9}), {}, fresh=True) is None
    assert not (tmp_path / made).exists()


@pytest.mark.parametrize("name", ["nosuch", "openai/gpt"])
def test_a_base_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no base model '{name}'"):
        prepare(recipe(tmp_path, base=name))
