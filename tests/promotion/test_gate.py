"""The verdict: a significant gain and nothing lost, or the model in service stays."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.evals.outcomes import Ending, Evaluation, Outcome, Plan
from wardian.promotion.gate import CANDIDATE, PRESENT, Showing, Verdict, decide, rows, showing


def an_evaluation(
    passes: Mapping[str, tuple[Sequence[bool], Sequence[bool]]], broken: int = 0
) -> Evaluation:
    """Of task → whether the present model's attempts and the candidate's passed."""
    outcomes = [
        Outcome(
            model=model,
            task=task,
            family=task.partition("/")[0],
            split="test",
            attempt=attempt,
            run_id="",
            ending=Ending.PASSED if passed else Ending.WRONG,
            value=float(passed),
        )
        for task, both in passes.items()
        for model, attempts in zip((PRESENT, CANDIDATE), both, strict=True)
        for attempt, passed in enumerate(attempts)
    ]
    attempts = max(len(one) for both in passes.values() for one in both)
    plan = Plan(
        id="E",
        suite="small",
        source="small",
        version="1",
        digest="d",
        tasks=tuple(passes),
        models={PRESENT: {}, CANDIDATE: {}},
        attempts=attempts,
        seed=0,
        scaling={},
    )
    return Evaluation(plan=plan, outcomes=tuple(outcomes[broken:]))


def shown(before: Sequence[int], after: Sequence[int], broken: int = 0) -> Showing:
    """Of one attempt a task."""
    pairs = enumerate(zip(before, after, strict=True))
    tasks = {f"sums/{n}": ([bool(a)], [bool(b)]) for n, (a, b) in pairs}
    return showing(an_evaluation(tasks, broken))


def test_a_significant_gain_with_the_guard_kept_is_better() -> None:
    decision = decide(shown([0] * 8 + [1], [1] * 9), shown([1] * 20, [1] * 20))
    assert decision.verdict is Verdict.BETTER
    assert "11.1% → 100.0% of 9 tasks, p = 0.0039" in decision.reason


def test_a_gain_that_could_be_chance_is_none() -> None:
    decision = decide(shown([0] * 4 + [1] * 20, [1] * 24), None)
    assert decision.verdict is Verdict.NO_GAIN
    assert "Fewer than five tasks changed" in decision.reason


def test_what_is_alike_is_no_gain() -> None:
    assert decide(shown([0, 1], [0, 1]), None).verdict is Verdict.NO_GAIN


def test_a_significant_loss_on_the_guard_outweighs_every_gain() -> None:
    decision = decide(shown([0] * 30, [1] * 30), shown([1] * 30, [1] * 24 + [0] * 6))
    assert decision.verdict is Verdict.REGRESSION
    assert "It lost old abilities on small" in decision.reason


def test_a_large_loss_on_a_small_guard_is_not_tolerated_though_it_could_be_chance() -> None:
    gain, guard = shown([0] * 30, [1] * 30), shown([1] * 10, [1] * 9 + [0])
    assert not guard.is_loss
    assert decide(gain, guard).verdict is Verdict.REGRESSION
    assert decide(gain, guard, tolerated_loss=0.1).verdict is Verdict.BETTER


def test_a_loss_on_the_suite_is_named_as_one() -> None:
    assert decide(shown([1] * 9, [0] * 9), None).verdict is Verdict.REGRESSION


def test_with_attempts_missing_nothing_is_decided() -> None:
    whole, torn = shown([0] * 9, [1] * 9), shown([1] * 9, [1] * 9, broken=1)
    assert torn.missing == 1
    assert decide(whole, torn).verdict is Verdict.UNDECIDED
    assert decide(torn, None).verdict is Verdict.UNDECIDED


def test_families_are_told_apart_and_only_common_tasks_count() -> None:
    found = an_evaluation(
        {
            "sums/1": ([True, False], [True, True]),
            "texts/1": ([True, True], [False, True]),
            "texts/2": ([True, True], []),
        }
    )
    of = showing(found)
    assert of.tasks == 2
    assert [(f.name, f.tasks, f.present, f.candidate) for f in of.families] == [
        ("sums", 1, 0.5, 1.0),
        ("texts", 1, 1.0, 0.5),
    ]
    table = rows(decide(of, None))
    assert [row[1].strip() for row in table] == ["small", "sums", "texts"]


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=25),
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=25),
)
@settings(max_examples=30)
def test_better_always_means_a_gain_beyond_chance_and_no_loss_beyond_what_is_tolerated(
    suite: list[tuple[bool, bool]], guard: list[tuple[bool, bool]]
) -> None:
    one, other = (shown([a for a, _ in of], [b for _, b in of]) for of in (suite, guard))
    decision = decide(one, other)
    gained = sum(b for _, b in suite) - sum(a for a, _ in suite)
    lost = sum(a for a, _ in guard) - sum(b for _, b in guard)
    if decision.verdict is Verdict.BETTER:
        assert gained >= 5
        assert lost <= 0.05 * len(guard)
    # the other way round it is never better as well
    if decision.verdict is Verdict.BETTER:
        back = shown([b for _, b in suite], [a for a, _ in suite])
        assert decide(back, None).verdict is Verdict.REGRESSION


@pytest.mark.parametrize("count", [1, 4])
def test_so_few_tasks_can_never_be_significant(count: int) -> None:
    assert decide(shown([0] * count, [1] * count), None).verdict is Verdict.NO_GAIN


def test_what_broke_is_said_with_the_verdict() -> None:
    found = an_evaluation({"a/1": ([True], [True])}, broken=1)
    broken = replace(
        found.outcomes[0],
        task="a/2",
        ending=Ending.ERROR,
        value=None,
        detail="It is not installed.",
        broke="sandbox",
    )
    decision = decide(showing(replace(found, outcomes=(*found.outcomes, broken))), None)
    assert decision.verdict is Verdict.UNDECIDED
    assert (decision.problem, decision.broke) == ("It is not installed.", "sandbox")
    assert "The first broke: It is not installed." in decision.reason


def test_no_gain_is_not_called_one() -> None:
    same = showing(an_evaluation({f"a/{n}": ([True], [True]) for n in range(6)}))
    assert "It gains nothing on small" in decide(same, None).reason
