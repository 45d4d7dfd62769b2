"""Verifiers of parts of an answer, of what was called, and of a whole folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wardian.events import ModelReplied
from wardian.rewards.calls import CallsMade
from wardian.rewards.files import ExpectedFile, FileState
from wardian.rewards.parts import Contains, ItemsMatch
from wardian.rewards.types import GradingFailed, Reward
from wardian.types import Finish, Message, Reply, Role
from wardian_tools.types import ToolCall

Grade = Callable[..., Reward]


def asked(*arguments: str) -> tuple[ModelReplied, ...]:
    calls = tuple(
        ToolCall(id=str(i), name="shell", arguments_text=text) for i, text in enumerate(arguments)
    )
    message = Message(role=Role.ASSISTANT, content="", calls=calls)
    return (ModelReplied(step=1, reply=Reply(message=message, finish=Finish.CALLS), seconds=0),)


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        ("Ada and BEN came.", True),
        ("Ada\nand  Ben", True),
        ("Ada came.", False),
        ("Ada and Ben, not Cy", False),
    ],
)
def test_an_answer_contains_all_of_these_and_none_of_those(
    grade: Grade, answer: str, is_right: bool
) -> None:
    assert grade(Contains(texts=("ada", "and Ben"), without=("cy",)), answer).passed is is_right


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        ("b.txt\na.txt", True),
        ("- a.txt\n- b.txt\n", True),
        ("1. `a.txt`\n2. `b.txt`.", True),
        ("a.txt, b.txt", True),
        ("a.txt", False),
        ("a.txt, a.txt, b.txt", False),
        ("The files are a.txt, b.txt", False),
        ("", False),
    ],
)
def test_items_are_a_list_and_nothing_else(grade: Grade, answer: str, is_right: bool) -> None:
    assert grade(ItemsMatch(expected=("a.txt", "b.txt")), answer).passed is is_right


def test_items_in_order_must_be_in_order(grade: Grade) -> None:
    verifier = ItemsMatch(expected=("a", "b"), in_order=True)
    assert [grade(verifier, text).value for text in ("a\nb", "b\na")] == [1.0, 0.0]


def test_what_was_tried_counts_although_nothing_came_of_it(grade: Grade) -> None:
    verifier = CallsMade(at_most=2, without=(r"/etc/shadow",))
    assert grade(verifier, events=asked('{"command": "ls"}')).passed
    assert not grade(verifier, events=asked('{"command": "cat /etc/shadow"}')).passed
    assert not grade(verifier, events=asked("{}", "{}", "{}")).passed
    with pytest.raises(GradingFailed):
        grade(verifier)


def test_only_the_named_files_may_be_there(grade: Grade, tmp_path: Path) -> None:
    (tmp_path / "sub" / "__pycache__").mkdir(parents=True)
    (tmp_path / "sub" / "a.txt").write_text("1")
    (tmp_path / "sub" / "__pycache__" / "a.pyc").write_text("")
    verifier = FileState(files=(ExpectedFile(path="sub/a.txt"),), only=True)
    assert grade(verifier, workspace=tmp_path).passed
    (tmp_path / "more").symlink_to("sub")
    reward = grade(verifier, workspace=tmp_path)
    assert reward.detail == {"wrong": {"more": "it should not be there"}}


@pytest.mark.parametrize(
    ("expected", "is_right"),
    [
        (ExpectedFile(path="n", number=12.5), True),
        (ExpectedFile(path="n", number=12.51), False),
        (ExpectedFile(path="sub", folder=True), True),
        (ExpectedFile(path="n", folder=True), False),
        (ExpectedFile(path="to-sub", folder=True), False),
    ],
)
def test_a_file_can_be_a_number_or_a_folder(
    grade: Grade, tmp_path: Path, expected: ExpectedFile, is_right: bool
) -> None:
    (tmp_path / "n").write_text("12.50\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "to-sub").symlink_to("sub")
    assert grade(FileState(files=(expected,)), workspace=tmp_path).passed is is_right
