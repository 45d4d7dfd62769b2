"""Mathematical equivalence, worked out in a limited process."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from wardian.rewards.maths import LimitedProcess, MathsMatch, shared_process
from wardian.rewards.types import Attempt, GradingFailed, Reward
from wardian.types import Task

pytest.importorskip("math_verify", reason="math-verify is not installed: wardian[train]")


def graded(*pairs: tuple[str, str]) -> list[float | str]:
    """The reward of each (expected, answer), or why it could not be given; in one process."""

    async def one(expected: str, answer: str) -> float | str:
        try:
            attempt = Attempt(task=Task(prompt=""), answer=answer)
            return (await MathsMatch(expected=expected).grade(attempt)).value
        except GradingFailed as problem:
            return problem.cause

    async def every() -> list[float | str]:
        return [await one(*pair) for pair in pairs]

    return asyncio.run(every())


def test_equal_things_are_equal_however_they_are_written_and_others_are_not() -> None:
    equal = [
        ("1/2", "0.5"),
        (r"\frac{1}{2}", r"The answer is $\frac{2}{4}$."),
        ("42", "The result is 42."),
        ("x^2-1", "(x-1)(x+1)"),
        (r"\{1,2\}", r"\{2,1\}"),
        ("(0,1]", "$(0,1]$"),
        ("5", r"so \boxed{5}"),
    ]
    other = [("1/3", "0.33"), ("42", "43"), ("(0,1]", "(0,1)"), ("x+1", "x-1"), ("7", "no idea")]
    assert graded(*equal, *other) == [1.0] * len(equal) + [0.0] * len(other)


def test_hostile_answers_cost_nothing_and_the_next_one_is_graded(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    hostile = [
        "9**9**9",
        "10**10**8",
        "(" * 5_000,
        r"\frac{" * 3_000,
        "9" * 90_000,
        "((9!)!)!",
        rf"__import__('os').system('touch {mark}')",
        r"$\left(" + "x^{" * 150 + "}" * 150 + "$",
        "\x00\ud800 \\input{/etc/passwd}",
        r"\sum_{k=1}^{10^{12}} \sin(k)",
    ]
    values = graded(*(("3", answer) for answer in hostile), ("3", "3"))
    assert values == [0.0] * len(hostile) + [1.0]
    assert not mark.exists()


def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wardian.rewards.maths.SECONDS", 0.05)
    assert graded(("sin(x)**40*cos(x)**39+1", "cos(x)**39*sin(x)**40*1+tan(x)/tan(x)")) == [0.0]


def test_an_expected_answer_that_is_none_fails_the_grading() -> None:
    (said,) = graded(("", "3"))
    assert isinstance(said, str)
    assert said.startswith("The expected answer '' is unusable")


def test_the_same_question_is_worked_out_once() -> None:
    async def asked() -> tuple[bool, bool]:
        async with LimitedProcess() as process:
            first = await process.compare("1/2", "0.5", 6)
            return first["equal"], await process.compare("1/2", "0.5", 6) is first

    assert asyncio.run(asked()) == (True, True)


def test_what_was_understood_is_told(grade: Callable[..., Reward]) -> None:
    reward = grade(MathsMatch(expected="1/2"), r"It is \frac{1}{2}")
    assert reward.detail == {"expected": "1/2", "answer": r"\frac{1}{2}"}


def test_the_process_of_a_loop_ends_with_it() -> None:
    before = children()

    async def use() -> int:
        process = await shared_process()
        await process.compare("1/2", "0.5", 6)
        assert await shared_process() is process
        return len(children() - before)

    assert asyncio.run(use()) == 1
    assert children() <= before


def children() -> set[str]:
    lists = Path("/proc/self/task").glob("*/children")
    return {child for one in lists for child in one.read_text().split()}
