"""The tasks of the built-in model: made from a seed, solved by their experts, checked apart."""

import asyncio
from pathlib import Path

import pytest

from wardian.evals.suites.experts import Step
from wardian.evals.suites.tiny.natural import natural_problems
from wardian.evals.suites.tiny.problem import Check, Problem
from wardian.evals.suites.tiny.tasks import FAMILIES, make_problem, make_problem_of
from wardian.train.tiny.checks import is_solved
from wardian.train.tiny.data import held_out, make_shard, read_shard
from wardian.train.tiny.execution import Episode, Workshop


def _problem(check: Check, files: dict[str, str] | None = None) -> Problem:
    def expert() -> object:
        raise AssertionError

    return Problem(
        family="reading",
        prompt="?",
        files=files or {},
        check=check,
        expert=expert,  # type: ignore[arg-type]
    )


def _episode(answer: str, files: dict[str, str] | None = None, calls: int = 0) -> Episode:
    step = Step(name="python", arguments={"code": "1"})
    return Episode(calls=((step, "1"),) * calls, answer=answer, files=files or {})


@pytest.mark.parametrize("family", FAMILIES)
def test_every_expert_solves_its_own_problems(family: str, tmp_path: Path) -> None:
    async def solve() -> list[str]:
        tmp_path.chmod(0o755)
        shop = await Workshop.open(tmp_path / "workspace")
        try:
            problems = [make_problem_of(family, f"test/{n}") for n in range(12)]
            return [p.prompt for p in problems if not is_solved(p, await shop.solve(p))]
        finally:
            await shop.close()

    assert asyncio.run(solve()) == []


def test_a_problem_depends_on_its_seed_only() -> None:
    first, second = make_problem("a/1"), make_problem("a/1")
    assert (first.prompt, first.files, first.check) == (second.prompt, second.files, second.check)
    assert len({make_problem(f"a/{n}").prompt for n in range(200)}) > 190


def test_no_held_out_prompt_is_trained_on(tmp_path: Path) -> None:
    make_shard(tmp_path, seed=0, shard=7, rows=60)
    tested = {p.prompt for p in held_out(0)}
    trained = {row.prompt for row in read_shard(tmp_path, 7)}
    assert trained
    assert not trained & tested


def test_held_out_problems_are_as_many_as_promised_and_all_different() -> None:
    problems = held_out(0)
    assert len({p.prompt for p in problems}) == len(problems) == 500
    assert {p.family for p in problems} == set(FAMILIES)


def test_a_shard_is_the_same_whoever_makes_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        make_shard(tmp_path / name, seed=0, shard=9, rows=25)
    assert read_shard(tmp_path / "one", 9) == read_shard(tmp_path / "two", 9)


def test_requests_by_hand_are_no_template_of_the_training_data() -> None:
    made = {make_problem(f"b/{n}").prompt for n in range(3000)}
    asked = {p.prompt for p in natural_problems()}
    assert len(asked) >= 60
    assert len(asked & made) <= 3


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (Check(kind="number", value=42), "There are 42.", "42 or 43"),
        (Check(kind="number", value=0.3333), "0.3333", "0.334"),
        (Check(kind="number", value=7006652), "7,006,652", "7006653"),
        (Check(kind="equals", value="blue"), "blue.", "blue sky"),
        (Check(kind="contains", value=("a.txt",), without=("b.txt",)), "a.txt", "a.txt, b.txt"),
        (Check(kind="rows", value=("a", "b")), "b\na", "a"),
        (Check(kind="line_numbers", value=("3", "7")), "On lines 3 and 7.", "On line 3."),
    ],
)
def test_a_check_takes_the_right_answer_and_no_other(check: Check, right: str, wrong: str) -> None:
    assert is_solved(_problem(check), _episode(right))
    assert not is_solved(_problem(check), _episode(wrong))


def test_a_refusal_that_called_a_tool_first_is_no_refusal() -> None:
    problem = _problem(Check(kind="beyond"))
    assert is_solved(problem, _episode("That is beyond me: I am tiny."))
    assert not is_solved(problem, _episode("That is beyond me: I am tiny.", calls=1))
    assert not is_solved(problem, _episode("Paris"))


def test_a_reader_that_changed_a_file_fails() -> None:
    problem = _problem(Check(kind="equals", value="x"), {"a.txt": "x\n"})
    assert is_solved(problem, _episode("x", {"a.txt": "x\n"}))
    assert not is_solved(problem, _episode("x", {"a.txt": ""}))


def test_a_writer_must_leave_other_files_alone() -> None:
    check = Check(kind="file", files={"new.txt": "hello"})
    problem = _problem(Check(kind="file", value=(), files=check.files), {"old.txt": "o\n"})
    assert is_solved(problem, _episode("ok", {"new.txt": "hello\n", "old.txt": "o\n"}))
    assert not is_solved(problem, _episode("ok", {"new.txt": "hello\n"}))
    assert not is_solved(problem, _episode("ok", {"new.txt": "bye\n", "old.txt": "o\n"}))
