"""Verifiers that only read the answer."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.errors import ConfigurationError
from wardian.rewards.specification import verifier_of
from wardian.rewards.texts import ExactMatch, JsonMatch, NumberMatch, RegexMatch, same_json
from wardian.rewards.types import GradingFailed, Reward

Grade = Callable[..., Reward]


@pytest.mark.parametrize(
    ("expected", "answer", "options", "value"),
    [
        ("blue whale", " blue\n whale ", {}, 1.0),
        ("blue whale", "Blue whale", {}, 0.0),
        ("blue whale", "BLUE WHALE", {"ignore_case": True}, 1.0),
        ("a b", "a  b", {"ignore_space": False}, 0.0),
        ("caf\u00e9", "cafe\u0301", {}, 1.0),
        ("", "", {}, 1.0),
    ],
)
def test_an_exact_answer_differs_in_nothing_that_counts(
    grade: Grade, expected: str, answer: str, options: dict[str, Any], value: float
) -> None:
    assert grade(ExactMatch(expected=(expected,), **options), answer).value == value


@pytest.mark.parametrize(
    ("answer", "options", "value"),
    [
        ("The total is 1,234.50 euros.", {}, 1.0),
        ("1234.5", {"whole": True}, 1.0),
        ("It is 1234.5", {"whole": True}, 0.0),
        ("First 1234.5, then 7", {}, 0.0),
        ("\u22121234.5", {}, 0.0),
        ("1.2345e3", {}, 1.0),
        ("1234.5001", {"tolerance": 1e-3}, 1.0),
        ("1234.5001", {}, 0.0),
        ("123450%", {"percent": True}, 1.0),
        ("123450 %", {"percent": True}, 1.0),
        ("none", {}, 0.0),
        ("", {}, 0.0),
        ("1e9999", {}, 0.0),
        ("e1", {}, 0.0),
        ("1234.5, as in line1", {}, 1.0),
        ("." * 1000, {}, 0.0),
        ("9" * 5000, {}, 0.0),
    ],
)
def test_the_last_number_of_the_answer_counts(
    grade: Grade, answer: str, options: dict[str, Any], value: float
) -> None:
    assert grade(NumberMatch(expected=1234.5, **options), answer).value == value


@pytest.mark.parametrize(
    ("expected", "options", "near", "far"),
    [
        (42, {"tolerance": 0.5}, "42.5", "43"),
        (42, {"tolerance": 0.5}, "41.5", "63.1"),
        (42, {"relative": 0.5}, "63", "63.1"),
        (-42, {"relative": 0.5, "tolerance": 30}, "-12", "-11"),
        (0.3, {"tolerance": 0.1}, "0.4", "0.41"),
        (0.1 + 0.2, {}, "0.3", "0.31"),
        (121932631112635269, {"tolerance": 0}, "121932631112635269", "121932631112635369"),
        (0, {"relative": 0.5}, "0", "0.1"),
    ],
)
def test_a_tolerance_is_a_distance_and_a_relative_one_a_share(
    grade: Grade, expected: float, options: dict[str, Any], near: str, far: str
) -> None:
    verifier = NumberMatch(expected=expected, **options)
    assert [grade(verifier, answer).value for answer in (near, far)] == [1.0, 0.0]


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_number_as_python_writes_it_is_read_back(number: float) -> None:
    assert NumberMatch(expected=0).number_in(f"It is {number!r}.") == number


def test_a_pattern_takes_no_longer_for_a_hostile_answer(grade: Grade) -> None:
    used = time.process_time()
    assert grade(RegexMatch(pattern=r"(a+)+$"), "a" * 60_000 + "b").value == 0.0
    # The standard library's engine would need longer than the universe has existed.
    assert time.process_time() - used < 60


@pytest.mark.parametrize(
    ("pattern", "answer", "whole", "value"),
    [
        (r"(?i)paris", "It is PARIS!", False, 1.0),
        (r"\d{4}", " 2024 ", True, 1.0),
        (r"\d{4}", "in 2024", True, 0.0),
        (r"x", "\ud800x", False, 1.0),
    ],
)
def test_a_pattern_is_searched_or_has_to_be_all(
    grade: Grade, pattern: str, answer: str, whole: bool, value: float
) -> None:
    assert grade(RegexMatch(pattern=pattern, whole=whole), answer).value == value


def test_a_pattern_that_is_none_fails_the_grading_and_not_the_attempt(grade: Grade) -> None:
    with pytest.raises(GradingFailed, match=r"'\(' is not in RE2's syntax"):
        grade(RegexMatch(pattern="("), "x")


SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ('{"n": 3}', 1.0),
        ('```json\n{"n": 3.0}\n```', 1.0),
        ('{"n": 4}', 0.0),
        ('{"n": true}', 0.0),
        ('{"n": 3, "m": 1}', 0.0),
        ("n = 3", 0.0),
        ("[" * 50_000, 0.0),
    ],
)
def test_json_fits_the_schema_and_equals_the_value(grade: Grade, answer: str, value: float) -> None:
    assert grade(JsonMatch(schema=SCHEMA, expected={"n": 3}), answer).value == value


def test_a_schema_that_is_none_fails_the_grading(grade: Grade) -> None:
    with pytest.raises(GradingFailed, match="schema"):
        grade(JsonMatch(schema={"type": "nothing"}), "{}")


UNUSABLE = [
    {"$ref": "http://127.0.0.1:9/none"},
    {"properties": {"n": {"$ref": "#/$defs/none"}}},
    {"$ref": "#"},
    {"type": "nothing"},
]


@pytest.mark.parametrize("schema", UNUSABLE, ids=["remote", "missing", "endless", "none"])
def test_a_task_whose_schema_cannot_be_used_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"The task's schema cannot be used: .+\."):
        verifier_of({"kind": "json", "schema": schema})


def test_a_schema_may_refer_to_itself_where_values_end(grade: Grade) -> None:
    schema = {"type": "array", "items": {"$ref": "#"}}
    assert grade(verifier_of({"kind": "json", "schema": schema}), "[[], [[]]]").value == 1.0
    assert grade(verifier_of({"kind": "json", "schema": schema}), "[[], [1]]").value == 0.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@given(JSON, JSON)
def test_json_values_are_the_same_exactly_when_their_text_is(left: object, right: object) -> None:
    import json

    texts = [json.dumps(value, sort_keys=True) for value in (left, right)]
    assert same_json(left, right) == (texts[0] == texts[1])


def test_equal_verifiers_have_equal_versions_and_others_do_not() -> None:
    one, same = NumberMatch(expected=1), NumberMatch(expected=1)
    assert one.version == same.version
    assert one.version != NumberMatch(expected=2).version
