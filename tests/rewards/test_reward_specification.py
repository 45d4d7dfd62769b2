"""Verifiers from tables, and several as one."""

import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from wardian.errors import ConfigurationError
from wardian.rewards.combine import AllOf, WeightedSum
from wardian.rewards.commands import HiddenTests
from wardian.rewards.specification import KINDS, kinds, verifier_of
from wardian.rewards.texts import ExactMatch, NumberMatch, RegexMatch
from wardian.rewards.types import GradingFailed, Reward

Grade = Callable[..., Reward]


def from_toml(text: str) -> Any:
    return verifier_of(tomllib.loads(text))


def test_a_table_gives_the_verifier_it_describes() -> None:
    assert from_toml('kind = "number"\nexpected = 42\ntolerance = 0.1') == NumberMatch(
        expected=42, tolerance=0.1
    )
    assert from_toml('kind = "exact"\nexpected = ["a", "b"]') == ExactMatch(expected=("a", "b"))
    tests = from_toml('kind = "tests"\n[files]\n"t.py" = "assert 1"')
    assert isinstance(tests, HiddenTests)
    assert tests.files == {"t.py": "assert 1"}


def test_every_kind_names_itself_in_its_rewards() -> None:
    required: dict[str, dict[str, Any]] = {
        "exact": {"expected": ["a"]},
        "regex": {"pattern": "a"},
        "items": {"expected": ["a"]},
        "number": {"expected": 1},
        "maths": {"expected": "1"},
        "files": {"files": [{"path": "a"}]},
        "command": {"command": "true"},
        "verifiers": {"taskset": "none", "index": 0, "key": ""},
        "harbor": {"files": {"test.sh": ""}, "image": "none"},
    }
    for kind in KINDS:
        assert verifier_of({"kind": kind, **required.get(kind, {})}).name == kind


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "has no kind"),
        ({"kind": "nummber"}, "Did you mean 'number'?"),
        ({"kind": "number", "expected": 1, "tolerence": 1}, "Did you mean 'tolerance'?"),
        ({"kind": "number"}, "cannot use expected"),
        ({"kind": "number", "expected": "many"}, "cannot use expected"),
        ({"kind": "exact", "expected": "Paris"}, "expected: input should be a valid list"),
        ({"kind": "all", "of": []}, "needs a list 'of' others"),
        ({"kind": "all", "of": [3]}, "are tables"),
        ({"kind": "sum", "of": [{"kind": "steps"}], "weights": [1, 2]}, "1 verifiers and 2"),
        ({"kind": "judge", "rubric": "- x"}, "lacks a model"),
        ({"kind": "judge", "model": "tiny", "rubric": ""}, "no criterion"),
    ],
)
def test_a_table_that_describes_none_is_named_with_its_key(
    table: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        verifier_of(table)


def test_a_tower_of_verifiers_is_refused() -> None:
    table: dict[str, Any] = {"kind": "steps"}
    for _ in range(1000):
        table = {"kind": "all", "of": [table]}
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        verifier_of(table)


def test_all_is_as_good_as_the_worst_and_a_sum_keeps_a_penalty(grade: Grade) -> None:
    right, wrong = NumberMatch(expected=1), NumberMatch(expected=2)
    assert grade(AllOf((right, wrong)), "1").value == 0.0
    assert grade(AllOf((right, right)), "1").value == 1.0
    reward = grade(WeightedSum((right, right), (1.0, -0.25)), "1")
    assert reward.value == 0.75
    assert [part["source"] for part in reward.detail["parts"]] == ["number", "number"]


def test_one_that_fails_fails_the_whole(grade: Grade) -> None:
    with pytest.raises(GradingFailed):
        grade(AllOf((NumberMatch(expected=1), RegexMatch(pattern="("))), "1")


def test_the_kinds_are_listed() -> None:
    assert {"number", "maths", "tests", "judge", "all", "sum"} <= set(kinds())
