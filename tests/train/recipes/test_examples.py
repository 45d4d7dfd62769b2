"""What of a dataset is trained on, and what is refused before anything is loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from wardian.data.rows import DataRow, JudgedRow, PairRow, Status
from wardian.errors import ConfigurationError
from wardian.train.collating import JudgedBatch, PairBatch, SftBatch
from wardian.train.examples import Examples, load_examples
from wardian.train.recipe import Method, recipe_of
from wardian.train.text_rows import Encoder

NOTHING_TO_ENCODE = Encoder(None)


def load(
    kit: Any, tmp_path: Path, method: Method, rows: Sequence[DataRow], **more: Any
) -> Examples:
    path = kit.write_rows(tmp_path / "d.jsonl", str(method), rows)
    values = {"base": "tiny", "data": str(path), "out": str(tmp_path / "o"), "dev.share": 0.0}
    dotted = {key.replace("__", "."): value for key, value in more.items()}
    return load_examples(recipe_of(method, {**values, **dotted}), NOTHING_TO_ENCODE, 100)


def test_only_marked_tokens_are_labels(kit: Any, tmp_path: Path) -> None:
    examples = load(kit, tmp_path, Method.SFT, [kit.token_row([1, 2], [3, 4])])
    assert examples.train == [{"input_ids": [1, 2, 3, 4], "labels": [-100, -100, 3, 4]}]


def test_a_longer_row_is_left_out_and_not_cut(kit: Any, tmp_path: Path) -> None:
    rows = [kit.token_row([1] * 6, [3, 4]), kit.token_row([1] * 7, [3, 4])]
    examples = load(kit, tmp_path, Method.SFT, rows, training__max_tokens=8)
    assert [len(row["input_ids"]) for row in examples.train] == [8]
    assert examples.left_out == {"longer than 8 tokens": 1}


def test_what_the_machine_broke_is_not_learnt(kit: Any, tmp_path: Path) -> None:
    rows = [kit.token_row([1], [2]), kit.token_row([1], [3], status=Status.ENV_ERROR)]
    assert len(load(kit, tmp_path, Method.SFT, rows).train) == 1


def test_a_task_is_on_one_side_of_the_split_only(kit: Any, tmp_path: Path) -> None:
    rows = [kit.token_row([n % 5], [3], task=f"t{n % 5}") for n in range(20)]
    examples = load(kit, tmp_path, Method.SFT, rows, dev__share=0.4)
    sides = [{row["input_ids"][0] for row in side} for side in (examples.train, examples.dev)]
    assert [len(side) for side in sides] == [3, 2]
    assert not sides[0] & sides[1]


def test_empty_data_is_refused(kit: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no row to train on"):
        load(kit, tmp_path, Method.SFT, [])


def test_data_of_one_class_is_refused(kit: Any, tmp_path: Path) -> None:
    rows = [kit.judged_row([1], [2], good=True)] * 3
    with pytest.raises(ConfigurationError, match=r"All 3 rows .* are marked good"):
        load(kit, tmp_path, Method.KTO, rows)


def test_pairs_of_equal_replies_are_refused(kit: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="both replies are the same"):
        load(kit, tmp_path, Method.DPO, [kit.pair_row([1], [2], [2])])


def test_data_for_another_method_is_refused_with_the_command_that_makes_it(
    kit: Any, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="agent data build --for dpo"):
        load(kit, tmp_path, Method.DPO, [kit.token_row([1], [2])])


def test_data_that_changed_since_its_card_is_refused(kit: Any, tmp_path: Path) -> None:
    path = kit.write_rows(tmp_path / "d.jsonl", "sft", [kit.token_row([1], [2])])
    path.write_bytes(path.read_bytes() * 2)
    recipe = recipe_of(Method.SFT, {"base": "tiny", "data": str(path), "out": "o"})
    with pytest.raises(ConfigurationError, match="has changed"):
        load_examples(recipe, NOTHING_TO_ENCODE, 100)


def test_tool_output_between_two_replies_counts_on_no_side_of_a_pair(
    kit: Any, tmp_path: Path
) -> None:
    row = PairRow(
        prompt_ids=(1,),
        chosen=kit.completion([2, 3, 4], [1, 0, 1]),
        rejected=kit.completion([5]),
        step=1,
        signs=(),
    )
    batch = PairBatch(0)(load(kit, tmp_path, Method.DPO, [row]).train)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4], [1, 5, 0, 0]]
    assert batch["completion_mask"].tolist() == [[0, 1, 0, 1], [0, 1, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]


def test_divergence_is_estimated_with_completions_of_other_rows(kit: Any, tmp_path: Path) -> None:
    rows: list[JudgedRow] = [
        kit.judged_row([1], [2], good=True),
        kit.judged_row([3], [4], good=False),
    ]
    batch = JudgedBatch(0)(sorted(load(kit, tmp_path, Method.KTO, rows).train, key=str))
    assert sorted(batch["input_ids"].tolist()) == [[1, 2], [3, 4]]
    assert sorted(batch["KL_input_ids"].tolist()) == [[1, 4], [3, 2]]


def test_tokens_that_the_base_does_not_know_are_refused(kit: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has the token 100, and the base"):
        load(kit, tmp_path, Method.SFT, [kit.token_row([1], [100])])


def test_padding_is_no_label() -> None:
    rows = [{"input_ids": [1, 2], "labels": [-100, 2]}, {"input_ids": [1], "labels": [1]}]
    batch = SftBatch(9)(rows)
    assert batch["input_ids"].tolist() == [[1, 2], [1, 9]]
    assert batch["labels"].tolist() == [[-100, 2], [1, -100]]
