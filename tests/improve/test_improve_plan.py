"""A wrong plan is told before anything is asked; a diary is gone on with, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from wardian.errors import ConfigurationError, ModelUnavailable
from wardian.improve import Plan, improve
from wardian.improve.diary import NAME, Diary
from wardian.improve.page import page
from wardian.improve.plan import Stage, check, gate_split
from wardian.improve.stages import NothingToLearn, check_teaches, recipe_of
from wardian.train.recipe import Method


def suite_of(path: Path, *rows: tuple[str, str]) -> str:
    """A task for each (split, prompt)."""
    tasks = [
        {
            "id": f"a/{n}",
            "split": split,
            "prompt": prompt,
            "tools": [],
            "verifier": {"kind": "number", "expected": 1},
        }
        for n, (split, prompt) in enumerate(rows)
    ]
    path.write_text("\n".join(map(json.dumps, tasks)))
    return str(path)


@pytest.fixture
def suite(tmp_path: Path) -> str:
    return suite_of(tmp_path / "s.jsonl", ("train", "one?"), ("dev", "two?"), ("test", "three?"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rounds": 0}, "0 rounds"),
        ({"methods": ("sft", "magic")}, "'magic' is no method"),
        ({"methods": ()}, "no method"),
        ({"attempts": 0}, "needs an attempt"),
        ({"methods": ("grpo",), "attempts": 1}, "Only sft learns from single attempts"),
        ({"quantisation": "Q9"}, "'Q9' is no quantisation"),
        ({"gate_split": "train"}, "no held-out tasks"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_plan_that_cannot_be_is_refused(changed: dict[str, Any], said: str, suite: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check(Plan(**{"suite": suite, "start": "tiny", **changed}))


def test_a_suite_needs_tasks_to_learn_from_and_others_to_decide_by(tmp_path: Path) -> None:
    only = suite_of(tmp_path / "test.jsonl", ("test", "one?"))
    with pytest.raises(ConfigurationError, match=r"no tasks in its train split, only in test"):
        check(Plan(suite=only, start="tiny"))
    same = suite_of(tmp_path / "same.jsonl", ("train", "one?"), ("test", "one?"))
    with pytest.raises(ConfigurationError, match="1 tasks of same are in train and in test"):
        check(Plan(suite=same, start="tiny"))


def test_a_guard_needs_tasks_of_the_split_that_decides(tmp_path: Path, suite: str) -> None:
    guard = suite_of(tmp_path / "guard.jsonl", ("test", "four?"))
    with pytest.raises(
        ConfigurationError, match=r"guard.jsonl has no tasks in dev, .* only in test"
    ):
        check(Plan(suite=suite, start="tiny", guard=guard))
    check(Plan(suite=suite, start="tiny", guard=guard, gate_split="test"))
    check(Plan(suite=suite, start="tiny", guard="core"))


def test_dev_decides_where_there_is_one(tmp_path: Path, suite: str) -> None:
    from wardian.evals.loading import load_suite

    assert gate_split(Plan(suite=suite, start="tiny"), load_suite(suite)) == "dev"
    two = suite_of(tmp_path / "two.jsonl", ("train", "one?"), ("test", "two?"))
    assert gate_split(Plan(suite=two, start="tiny"), load_suite(two)) == "test"


def test_a_model_elsewhere_and_a_wrong_recipe_are_said_before_anything_is_asked(
    tmp_path: Path, suite: str
) -> None:
    with pytest.raises(ConfigurationError, match="not a file of this machine"):
        improve(Plan(suite=suite, start="ollama/x"), tmp_path / "out")
    with pytest.raises(ModelUnavailable):
        improve(Plan(suite=suite, start=f"gguf:{tmp_path}/none.gguf"), tmp_path / "out")
    with pytest.raises(ConfigurationError, match="learning_rat"):
        improve(
            Plan(suite=suite, start="tiny", settings={"training.learning_rat": "1"}),
            tmp_path / "out",
        )
    assert not (tmp_path / "out").exists()


def test_with_several_methods_each_takes_the_settings_it_knows() -> None:
    plan = Plan(suite="s", start="tiny", methods=("sft", "grpo"), settings={"grpo.steps": "3"})
    made = recipe_of(plan, Method.GRPO, base="tiny", data="d", out="o")
    assert made.grpo.steps == 3
    assert recipe_of(plan, Method.SFT, base="tiny", data="d", out="o").method is Method.SFT
    assert [plan.method(n) for n in range(3)] == [Method.SFT, Method.GRPO, Method.GRPO]


@pytest.mark.parametrize(
    ("method", "passed", "mixed", "said"),
    [
        (Method.SFT, 0, 0, "nothing to imitate"),
        (Method.GRPO, 8, 0, "earned the same"),
        (Method.DPO, 8, 0, "earned the same"),
    ],
)
def test_attempts_that_all_earned_the_same_teach_nothing(
    method: Method, passed: int, mixed: int, said: str
) -> None:
    with pytest.raises(NothingToLearn, match=said):
        check_teaches(method, passed=passed, mixed=mixed, groups=4)
    check_teaches(Method.SFT, passed=8, mixed=0, groups=4)
    check_teaches(Method.GRPO, passed=4, mixed=1, groups=4)


def test_a_diary_goes_on_after_its_last_whole_line(tmp_path: Path) -> None:
    plan = Plan(suite="s", start="tiny")
    diary = Diary.open(tmp_path, plan)
    diary.done(0, Stage.COLLECT, {"a": 1}, seconds=2.0, tokens=7)
    with pytest.raises(ConfigurationError, match="in another process"):
        Diary.open(tmp_path, plan)
    diary.close()
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes() + b'{"round": 0, "sta')
    again = Diary.open(tmp_path, Plan(suite="s", start="tiny", rounds=9))
    assert again.id == diary.id
    assert again.result(0, Stage.COLLECT) == {"a": 1}
    assert again.result(0, Stage.SCORE) is None
    assert (again.seconds, again.tokens) == (2.0, 7)
    again.done(0, Stage.SCORE, {}, seconds=1.0, tokens=0)
    again.close()
    with pytest.raises(ConfigurationError, match="start was 'tiny'"):
        Diary.open(tmp_path, Plan(suite="s", start="gguf:x"))
    assert len(path.read_bytes().splitlines()) == 3


def test_what_a_suite_and_a_model_are_called_is_text_on_the_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    diary = Diary.open(tmp_path, Plan(suite=evil, start=evil))
    text = page(diary, evil)
    diary.close()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
