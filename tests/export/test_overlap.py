"""What gives an evaluation's task away, and what is nearly the same as something else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.export.overlap import NearDuplicates, Overlap, words

TASK = "Count how many of the customers in orders.csv paid more than 40 dollars in March."
NOISE = "Read the notes in the folder and write a summary of them to summary.txt, in a few lines."


def found(text: str, *protected: str) -> str:
    match = Overlap((str(number), one) for number, one in enumerate(protected)).find([text])
    return match.name if match else ""


def test_a_task_is_found_inside_a_longer_text_whatever_its_case_and_punctuation() -> None:
    text = f"{NOISE}\n> {TASK.upper().replace(',', ';')}!\n{NOISE}"
    assert found(text, "Something else that nobody asked for in any of the rows here.", TASK) == "1"


def test_an_instruction_that_many_tasks_begin_with_gives_none_of_them_away() -> None:
    shared = "Answer with the number alone and nothing else at all please. "
    longer = shared + TASK + " Then name the three who paid most, the first of them first of all."
    assert found(shared + NOISE, longer) == ""


def test_half_of_a_task_gives_it_away_and_a_fifth_does_not() -> None:
    task = " ".join(f"word{number}" for number in range(47))
    pieces = task.split()
    assert found(" ".join(pieces[:30]), task) == "0"
    assert found(" ".join(pieces[:15]), task) == ""


def test_a_short_task_is_found_whole_and_a_tiny_one_only_alone() -> None:
    assert found("Please count the red apples, then stop.", "Count the red apples") == "0"
    assert found("The answer is 42 of course", "42") == ""
    assert found(" 42. ", "42") == "0"


@settings(max_examples=60)
@given(st.text(), st.text(), st.text())
def test_whatever_holds_a_task_whole_is_found(before: str, task: str, after: str) -> None:
    if len(words(task)) >= 4:
        assert found(f"{before} {task} {after}", task) == "0"
    elif words(task):
        assert found(task, task) == "0"


def test_near_duplicates_are_told_from_what_only_looks_alike() -> None:
    kept = NearDuplicates(0.8)
    text = " ".join(f"word{number}" for number in range(200))
    assert kept.is_new(text)
    assert not kept.is_new(text)
    assert not kept.is_new(text.replace("word7 ", "other "))
    assert kept.is_new(" ".join(f"word{number}" for number in range(100, 300)))
    assert kept.is_new("")
    assert not kept.is_new(" ")


@pytest.mark.parametrize("seed", range(3))
def test_unlike_texts_are_all_kept(seed: int) -> None:
    kept = NearDuplicates(0.7)
    texts = [" ".join(f"w{seed}-{i}-{j}" for j in range(30)) for i in range(20)]
    assert all(kept.is_new(text) for text in texts)
