"""What gives an eval task away is kept out, and what merely resembles one is not."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tests.data.conftest import Shelf, Turn

from wardian.data.contamination import Contaminated, EvalTasks
from wardian.data.held_out import eval_tasks

STORY = "the old keeper of the northern lighthouse counted seventeen grey seals on the wet rocks"
LETTER = "dear sir your parcel of brass screws will arrive on the second tuesday of march by sea"
WORDING = "look through every file of this folder and say how many lines there are that mention"


def suite(folder: Path, *tasks: Mapping[str, object]) -> EvalTasks:
    path = folder / "mine.jsonl"
    rows = [
        {"id": f"t/{i}", "verifier": {"kind": "exact", "expected": ["42"]}, **task}
        for i, task in enumerate(tasks)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return eval_tasks([str(path)])


def fault(
    known: EvalTasks,
    shelf: Shelf,
    *turns: Turn | str,
    prompt: str = "Do it.",
    tags: Sequence[str] = (),
) -> str:
    run = shelf.store.load(shelf.add(*turns, prompt=prompt, tags=tags))
    try:
        known.check(run)
    except Contaminated as found:
        return f"{found}: {found.task}"
    return ""


def test_the_same_prompt_is_found_however_it_is_written(shelf: Shelf) -> None:
    known = suite(shelf.folder, {"prompt": "Count the seals."})
    assert "asked the same" in fault(known, shelf, "3", prompt="count  THE seals")
    assert fault(known, shelf, "3", prompt="Count the whales.") == ""


def test_a_passage_of_a_hidden_file_is_found_in_what_a_tool_gave(shelf: Shelf) -> None:
    known = suite(shelf.folder, {"prompt": "Count.", "hidden": {"a.txt": STORY}})
    turn = Turn(runs="open", result=f"... {STORY.upper()}!")
    assert "text of an eval task: mine: t/0 (test)" in fault(known, shelf, turn, "Done.")
    shorter = " ".join(STORY.split()[:12])
    assert fault(known, shelf, shorter) == ""


def test_half_of_a_text_is_needed_or_much_of_a_long_one(shelf: Shelf) -> None:
    long = " ".join(f"word{i}" for i in range(200))
    known = suite(shelf.folder, {"prompt": "Count.", "files": {"a.txt": long}})
    assert fault(known, shelf, " ".join(long.split()[:30])) == ""
    assert "text of" in fault(known, shelf, " ".join(long.split()[:60]))


def test_the_same_words_about_other_files_are_a_train_tasks_own(shelf: Shelf) -> None:
    known = suite(shelf.folder, {"prompt": "Count the seals.", "files": {"a.txt": "seal"}})
    assert "asked the same" in fault(known, shelf, "3", prompt="Count the seals.")
    assert fault(known, shelf, "3", prompt="Count the seals.", tags=["split:train"]) == ""


def test_the_wording_of_a_family_gives_no_task_away(shelf: Shelf) -> None:
    tasks = [{"prompt": f"{WORDING} {word}."} for word in ("seals", "whales", "ships")]
    assert fault(suite(shelf.folder, *tasks), shelf, "3", prompt=f"{WORDING} storms.") == ""
    alone = suite(shelf.folder, tasks[0])
    assert "text of" in fault(alone, shelf, "3", prompt=f"{WORDING} storms.")


def test_what_a_train_task_has_too_gives_no_task_away(shelf: Shelf) -> None:
    held = {"prompt": f"{WORDING} seals."}
    known = suite(shelf.folder, held, {"prompt": f"{WORDING} ships.", "split": "train"})
    assert fault(known, shelf, "3", prompt=f"{WORDING} ships.") == ""
    assert "asked the same" in fault(known, shelf, "3", prompt=f"{WORDING} seals.")


def test_a_long_answer_is_found_and_a_short_one_is_anybodys(shelf: Shelf) -> None:
    graded = {"kind": "files", "files": [{"path": "a.txt", "text": LETTER}]}
    known = suite(shelf.folder, {"prompt": "Write.", "verifier": graded}, {"prompt": "Count."})
    assert "answer of an eval task" in fault(known, shelf, f"Here: {LETTER}.")
    assert fault(known, shelf, "42") == ""


def test_an_answer_that_the_task_itself_gives_is_none(shelf: Shelf) -> None:
    graded = {"kind": "files", "files": [{"path": "b.txt", "text": LETTER}]}
    moved = {"prompt": "Rename a.txt.", "files": {"a.txt": LETTER}, "verifier": graded}
    known = suite(shelf.folder, moved, {**moved, "split": "train"})
    assert fault(known, shelf, f"It says: {LETTER}.") == ""


@pytest.mark.parametrize("split", ["dev", "test"])
def test_both_held_out_splits_are_kept_out(shelf: Shelf, split: str) -> None:
    known = suite(shelf.folder, {"prompt": "Count the seals.", "split": split})
    assert f"({split})" in fault(known, shelf, "3", prompt="Count the seals.")
