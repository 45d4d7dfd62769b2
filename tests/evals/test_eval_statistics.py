"""The figures of evaluations against what is known of them."""

from fractions import Fraction
from itertools import combinations, product
from math import comb
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.evals.curves import curve, voted
from wardian.evals.outcomes import Ending, Outcome
from wardian.evals.statistics import (
    MAX_COUNTED,
    Tally,
    adjusted,
    compared,
    mean_over,
    pass_at,
    pass_hat,
    permutation_test,
    tallies,
)


def outcome(
    task: str, attempt: int, ending: Ending, answer: str = "x", tokens: int = 10
) -> Outcome:
    return Outcome(
        model="m",
        task=task,
        family="f",
        split="test",
        attempt=attempt,
        run_id="r",
        ending=ending,
        value=float(ending is Ending.PASSED),
        answer=answer,
        tokens=tokens,
    )


@settings(max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_pass_at_k_and_pass_hat_k_are_the_shares_of_all_choices(
    passed: list[bool], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(passed)))
    choices = list(combinations(passed, k))
    assert pass_at(k, len(passed), sum(passed)) == pytest.approx(fmean(map(any, choices)))
    assert pass_hat(k, len(passed), sum(passed)) == pytest.approx(fmean(map(all, choices)))


@pytest.mark.parametrize(
    ("passed", "count", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_intervals_are_wilsons(passed: int, count: int, low: float, high: float) -> None:
    """The last is Newcombe's example, Statistics in Medicine 17 (1998) 857."""
    found = mean_over([1.0] * passed + [0.0] * (count - passed))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_an_estimate_lies_within_its_interval(values: list[float]) -> None:
    found = mean_over(values)
    assert found is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


@settings(max_examples=30)
@given(st.lists(st.sampled_from([-1, 1]), min_size=1, max_size=12))
def test_with_one_attempt_the_test_is_mcnemars(signs: list[int]) -> None:
    n, lesser = len(signs), min(signs.count(1), signs.count(-1))
    exact = min(1.0, 2 * sum(comb(n, i) for i in range(lesser + 1)) / 2**n)
    two_sided, _ = permutation_test([Fraction(one) for one in signs] + [Fraction(0)] * 3)
    assert two_sided == pytest.approx(exact)


@settings(max_examples=30)
@given(st.lists(st.fractions(-1, 1, max_denominator=4), min_size=1, max_size=7))
def test_the_test_counts_every_choice_of_signs(steps: list[Fraction]) -> None:
    observed = sum(steps, Fraction(0))
    sums = [
        sum((sign * step for sign, step in zip(signs, steps, strict=True)), Fraction(0))
        for signs in product((1, -1), repeat=len(steps))
    ]
    two_sided, better = permutation_test(steps)
    assert two_sided == pytest.approx(fmean(abs(one) >= abs(observed) for one in sums))
    assert better == pytest.approx(fmean(one >= observed for one in sums))


def test_where_counting_is_too_much_signs_are_drawn() -> None:
    steps = [Fraction(1 if i % 3 else -1, 97 + i % 5) for i in range(60)]
    assert len(steps) * sum(abs(int(s * 97 * 98 * 99 * 100 * 101)) for s in steps) > MAX_COUNTED
    two_sided, better = permutation_test(steps)
    assert 0.001 < better < 0.03
    assert better < two_sided < 0.05


def test_a_model_against_itself_is_no_gain() -> None:
    same = [Tally("a", 4, 2), Tally("b", 4, 4)]
    found = compared("x", same, "y", same)
    assert found is not None
    assert (found.difference, found.p_value, found.is_gain) == (0.0, 1.0, False)


def test_a_comparison_is_over_what_both_attempted() -> None:
    before = [Tally("a", 1, 0), Tally("only before", 1, 1)]
    after = [Tally("a", 1, 1), Tally("only after", 1, 0)]
    found = compared("x", before, "y", after)
    assert found is not None
    assert (found.tasks, found.difference, found.better) == (1, 1.0, ("a",))
    assert compared("x", before, "y", [Tally("c", 1, 1)]) is None


def test_errors_count_neither_way() -> None:
    found = tallies(
        [
            outcome("a", 0, Ending.PASSED),
            outcome("a", 1, Ending.ERROR),
            outcome("b", 0, Ending.ERROR),
        ]
    )
    assert found == [Tally("a", 1, 1)]


def test_several_comparisons_are_corrected_by_holms_steps() -> None:
    assert adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_a_vote_passes_where_most_attempts_agree_on_what_passes() -> None:
    attempts = [
        outcome("a", 0, Ending.PASSED, "42"),
        outcome("a", 1, Ending.PASSED, "42"),
        outcome("a", 2, Ending.WRONG, "41"),
    ]
    assert voted(attempts, 3) == 1.0
    assert voted(attempts, 1) == pytest.approx(2 / 3)


def test_attempts_without_an_answer_do_not_vote() -> None:
    attempts = [outcome("a", i, Ending.LIMIT, "") for i in range(3)]
    attempts.append(outcome("a", 3, Ending.PASSED, "42"))
    assert voted(attempts, 4) == 1.0
    assert voted(attempts[:3], 3) == 0.0


def test_a_curve_goes_as_far_as_there_are_attempts_and_its_compute_with_it() -> None:
    outcomes = [
        outcome(task, i, Ending.PASSED if i == 0 else Ending.WRONG, str(i))
        for task in "ab"
        for i in range(6)
    ]
    points = curve(outcomes)
    assert [point.attempts for point in points] == [1, 2, 3, 4, 6]
    assert [point.tokens for point in points] == [10, 20, 30, 40, 60]
    assert points[0].any.value == pytest.approx(1 / 6)
    assert points[-1].any.value == 1.0
    assert curve([]) == []
