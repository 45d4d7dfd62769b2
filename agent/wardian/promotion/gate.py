"""The gate itself: from two evaluations to a verdict with its reasons. No model is asked here."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from wardian.evals.outcomes import Evaluation
from wardian.evals.statistics import CONFIDENCE, Comparison, compared, tallies

PRESENT, CANDIDATE = "present", "candidate"
"""Contestants' names in the evaluations"""
LEVEL = 1 - CONFIDENCE
TOLERATED_LOSS = 0.05
"""Of the guard's mean share: with few tasks a loss can be large and not significant"""


class Verdict(StrEnum):
    """What became of a candidate."""

    BETTER = "better"
    """A significant gain on the suite, and nothing lost on the guard."""
    NO_GAIN = "no gain"
    """What it gained on the suite could be chance."""
    REGRESSION = "regression"
    """It lost what the present model can do."""
    UNDECIDED = "undecided"
    """Attempts are missing, or broke: nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How both did on one family of tasks."""

    name: str
    tasks: int
    present: float
    candidate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """How the candidate did against the present model on one suite."""

    suite: str
    digest: str
    evaluation: str
    """Its id"""
    tasks: int
    attempts: int
    present: float
    """Mean share of attempts that passed"""
    candidate: float
    low: float
    """Bounds of the 95 % interval of the difference"""
    high: float
    p_better: float
    """Chance of such a gain if the two were alike"""
    p_worse: float
    """Chance of such a loss"""
    better: tuple[str, ...]
    """Tasks on which the candidate does better"""
    worse: tuple[str, ...]
    families: tuple[Family, ...]
    missing: int = 0
    """Attempts without an outcome that counts"""
    problem: str = ""
    """What the first of them broke on, where one did"""
    broke: str = ""
    """Which part that was, as `Outcome.broke` has it"""

    @property
    def difference(self) -> float:
        return self.candidate - self.present

    @property
    def is_gain(self) -> bool:
        return self.difference > 0 and self.p_better < LEVEL

    @property
    def is_loss(self) -> bool:
        return self.difference < 0 and self.p_worse < LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A verdict, why, and the evidence."""

    verdict: Verdict
    reason: str
    """One sentence"""
    suite: Showing
    guard: Showing | None

    @property
    def problem(self) -> str:
        """What attempts broke on, where some did."""
        return self._broken.problem

    @property
    def broke(self) -> str:
        """Which part they broke on."""
        return self._broken.broke

    @property
    def _broken(self) -> Showing:
        return self.guard if self.guard and not self.suite.problem else self.suite

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def showing(found: Evaluation) -> Showing:
    """What an evaluation of `PRESENT` and `CANDIDATE` shows."""
    before, after = tallies(found.of(PRESENT)), tallies(found.of(CANDIDATE))
    forth = compared(PRESENT, before, CANDIDATE, after)
    back = compared(CANDIDATE, after, PRESENT, before)
    common = {one.task for one in before} & {one.task for one in after}

    def mean(name: str, family: str | None = None) -> float:
        shares = [
            float(tally.share)
            for tally in tallies(
                one for one in found.of(name) if family is None or one.family == family
            )
            if tally.task in common
        ]
        return sum(shares) / len(shares) if shares else 0.0

    named = {one.task: one.family for one in found.outcomes if one.task in common}
    families = [
        Family(
            name=family,
            tasks=sum(one == family for one in named.values()),
            present=mean(PRESENT, family),
            candidate=mean(CANDIDATE, family),
        )
        for family in sorted(set(named.values()))
    ]
    return Showing(
        suite=found.plan.suite,
        digest=found.plan.digest,
        evaluation=found.plan.id,
        tasks=len(common),
        attempts=found.plan.attempts,
        present=mean(PRESENT),
        candidate=mean(CANDIDATE),
        families=tuple(families),
        missing=found.plan.size - sum(one.counts for one in found.outcomes),
        problem=found.errors[0].detail if found.errors else "",
        broke=found.errors[0].broke if found.errors else "",
        **_tested(forth, back),
    )


def _tested(forth: Comparison | None, back: Comparison | None) -> dict[str, Any]:
    if forth is None or back is None:
        return {"low": 0.0, "high": 0.0, "p_better": 1.0, "p_worse": 1.0, "better": (), "worse": ()}
    return {
        "low": forth.low,
        "high": forth.high,
        "p_better": forth.p_better,
        "p_worse": back.p_better,
        "better": forth.better,
        "worse": forth.worse,
    }


def decide(
    suite: Showing, guard: Showing | None, *, tolerated_loss: float = TOLERATED_LOSS
) -> Decision:
    """The verdict on what was shown."""
    verdict, reason = _verdict(suite, guard, tolerated_loss)
    return Decision(verdict=verdict, reason=reason, suite=suite, guard=guard)


def _verdict(suite: Showing, guard: Showing | None, tolerated: float) -> tuple[Verdict, str]:
    for one in (suite, guard):
        if one is not None and (one.missing or not one.tasks):
            missing = f"{one.missing} attempts at {one.suite} have no outcome"
            why = f" The first broke: {one.problem}" if one.problem else ""
            return Verdict.UNDECIDED, f"{missing}; the same command goes on.{why}"
    if suite.is_loss:
        return Verdict.REGRESSION, f"It does worse on {suite.suite}: {_change(suite)}."
    if guard is not None and (guard.is_loss or -guard.difference > tolerated):
        chance = "" if guard.is_loss else f", and more than {tolerated:.0%} is not tolerated"
        return (
            Verdict.REGRESSION,
            f"It lost old abilities on {guard.suite}: {_change(guard)}{chance}.",
        )
    if not suite.is_gain:
        few = _hint(suite)
        if suite.difference > 0:
            said = f"The gain on {suite.suite} could be chance"
        else:
            said = f"It gains nothing on {suite.suite}"
        return Verdict.NO_GAIN, f"{said}: {_change(suite)}.{few}"
    kept = f", with {guard.suite} kept ({_change(guard)})" if guard else ""
    return Verdict.BETTER, f"It does better on {suite.suite}: {_change(suite)}{kept}."


def _change(of: Showing) -> str:
    p = of.p_better if of.difference >= 0 else of.p_worse
    return f"{of.present:.1%} → {of.candidate:.1%} of {of.tasks} tasks, p = {p:.2g}"


def _hint(suite: Showing) -> str:
    """Fewer than five tasks that changed cannot be significant: 2 to the power of -5 is 3 %."""
    changed = len(suite.better) + len(suite.worse)
    if suite.difference > 0 and changed < 5:
        return " Fewer than five tasks changed, which never is significant: take a larger suite."
    return ""


def rows(decision: Decision) -> list[Sequence[str]]:
    """A table for people: role, suite or family, tasks, present, candidate, change, p."""
    table: list[Sequence[str]] = []
    for role, of in (("suite", decision.suite), ("guard", decision.guard)):
        if of is None:
            continue
        p = of.p_better if of.difference >= 0 else of.p_worse
        interval = f"{of.difference:+.1%} [{of.low:+.1%}, {of.high:+.1%}]"
        table.append(
            (role, of.suite, str(of.tasks), f"{of.present:.1%}", f"{of.candidate:.1%}", interval,
             f"{p:.2g}")
        )  # fmt: skip
        if len(of.families) > 1:
            table += [
                ("", f"  {f.name}", str(f.tasks), f"{f.present:.1%}", f"{f.candidate:.1%}",
                 f"{f.candidate - f.present:+.1%}", "")
                for f in of.families
            ]  # fmt: skip
    return table


HEADERS = ("", "TASKS OF", "TASKS", "PRESENT", "CANDIDATE", "CHANGE", "P, ONE-SIDED")
