"""Pairs and judged replies: which are made of runs, and which would say nothing."""

import pytest
from tests.data.conftest import Shelf, Turn, left_out, read, trained

from wardian.data import Form, NothingToLearn, Scope
from wardian.data.rows import (
    JudgedRow,
    PairRow,
    TextPairRow,
)
from wardian.events import Rated
from wardian.types import Stop

GOOD, BAD = Turn(runs="good"), Turn(runs="bad")


def test_a_pair_is_two_replies_to_the_same_ids(shelf: Shelf) -> None:
    look = Turn(runs="look", result="seen")
    shelf.add(look, GOOD, "Right.", task="a/1", reward=1.0)
    shelf.add(look, BAD, "Wrong.", task="a/1", reward=0.0)
    (row,) = shelf.build("dpo").rows(PairRow)
    assert read(row.prompt_ids) == "[Count.]<look>(seen)"
    assert (read(row.chosen.token_ids), read(row.rejected.token_ids)) == ("<good>", "<bad>")
    assert set(row.chosen.loss_mask) == {1}
    assert (row.step, row.signs, row.chosen.reward, row.rejected.reward) == (2, ("reward",), 1, 0)


def test_a_pair_of_runs_masks_the_results_in_between(shelf: Shelf) -> None:
    shelf.add(GOOD, "Right.", task="a/1", reward=1.0)
    shelf.add(BAD, "Wrong.", task="a/1", reward=0.0)
    (row,) = shelf.build("dpo", scope=Scope.RUN).rows(PairRow)
    assert read(row.chosen.token_ids) == "<good>(ok)Right."
    assert trained(row.chosen.token_ids, row.chosen.loss_mask) == "<good>Right."


def luck(shelf: Shelf) -> None:
    shelf.add(Turn(runs="x", result="1"), "Right.", task="a/1", reward=1.0)
    shelf.add(Turn(runs="x", result="2"), "Wrong.", task="a/1", reward=0.0)


def alike(shelf: Shelf) -> None:
    shelf.add("one", task="a/1", reward=1.0)
    shelf.add("two", task="a/1", reward=1.0)


def alone(shelf: Shelf) -> None:
    shelf.add("one", task="a/1", reward=1.0)
    shelf.add("two", task="a/2", reward=0.0)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (luck, "the two part in what they were told"),
        (alike, "all attempts at its task earned about the same"),
        (alone, "the only attempt at its task"),
    ],
)
def test_no_pair_is_made_of_what_says_nothing(shelf: Shelf, make: object, reason: str) -> None:
    assert callable(make)
    make(shelf)
    with pytest.raises(NothingToLearn, match=reason):
        shelf.build("dpo")


def test_a_pair_that_says_the_opposite_of_another_is_left_out(shelf: Shelf) -> None:
    for task, better, worse in (("a/1", "one", "two"), ("a/2", "two", "one")):
        shelf.add(better, task=task, reward=1.0)
        shelf.add(worse, task=task, reward=0.0)
    dataset = shelf.build("dpo")
    assert dataset.card["counts"]["rows"] == 1
    assert left_out(dataset) == {"of a pair, it says the opposite of another": 1}


def test_what_the_user_preferred_makes_pairs_of_the_same_ids(shelf: Shelf) -> None:
    parent = shelf.add(BAD, "Wrong.")
    shelf.note(parent, Rated(step=1, good=False))
    fork = {"run_id": parent, "step": 1, "group": "G", "index": 0}
    shelf.add(GOOD, "Right.", fork=fork)
    (row,) = shelf.build("dpo").rows(PairRow)
    assert (read(row.chosen.token_ids), read(row.rejected.token_ids)) == ("<good>", "<bad>")
    assert set(row.signs) == {"rated", "forked"}
    (text,) = shelf.build("dpo", form=Form.TEXT).rows(TextPairRow)
    assert text.origin.run_id != text.rejected_origin.run_id


def test_environment_errors_are_never_the_worse_of_a_pair(shelf: Shelf) -> None:
    shelf.add(GOOD, "Right.", task="a/1", reward=1.0)
    shelf.add(BAD, "Wrong.", task="a/1", reward=0.0, stop=Stop.FAILED)
    with pytest.raises(NothingToLearn, match="did not come to its own end"):
        shelf.build("dpo")


def test_replies_of_good_and_bad_runs_are_judged_but_not_those_in_both(shelf: Shelf) -> None:
    look = Turn(runs="look")
    shelf.add(look, "Right.", task="a/1", reward=1.0)
    shelf.add(look, "Wrong.", task="a/1", reward=0.0)
    dataset = shelf.build("kto")
    found = {read(row.completion.token_ids): row.label for row in dataset.rows(JudgedRow)}
    assert found == {"Right.": True, "Wrong.": False}
    assert left_out(dataset) == {"of a reply, it was called good and bad": 2}
    assert dataset.card["labels"] == {"bad": 1, "good": 1}


def test_what_the_user_said_of_a_step_stands_over_what_the_run_earned(shelf: Shelf) -> None:
    run = shelf.add(GOOD, "Right.", reward=1.0)
    shelf.note(run, Rated(step=1, good=False))
    rows = {read(row.completion.token_ids): row for row in shelf.build("kto").rows(JudgedRow)}
    assert (rows["<good>"].label, rows["<good>"].signs) == (False, ("rated",))
    assert (rows["Right."].label, rows["Right."].signs) == (True, ("reward",))


def test_replies_of_one_class_only_are_refused(shelf: Shelf) -> None:
    shelf.add("Right.", reward=1.0)
    with pytest.raises(NothingToLearn, match="All 1 replies are good"):
        shelf.build("kto")
    assert not (shelf.folder / "rows.jsonl").exists()
