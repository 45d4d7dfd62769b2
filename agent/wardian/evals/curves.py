"""What more attempts would buy: accuracy against compute, from the attempts that were recorded.

For N attempts, every choice of N among the recorded ones counts alike; nothing is asked again, and
nothing is claimed beyond as many attempts as there are. `any` is the choice by an oracle (pass@N):
what a perfect verifier would reach. `vote` is what self-consistency reaches (Wang et al.,
arXiv:2203.11171): the most frequent answer, of equal ones the first, passes if its attempt does.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import comb
from statistics import fmean
from typing import Any

from wardian.evals.outcomes import Outcome
from wardian.evals.statistics import Interval, mean_over, pass_at

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
MAX_CHOICES = 200
"""More ways than that to choose N attempts are sampled"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The accuracy of N attempts, and what they take on average for one task."""

    attempts: int
    any: Interval
    vote: Interval
    tokens: float
    seconds: float
    cost_usd: float | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def curve(outcomes: Iterable[Outcome]) -> list[Point]:
    """Of one model, each point over the tasks with as many attempts; empty when nothing counts."""
    by_task: dict[str, list[Outcome]] = {}
    for one in sorted(outcomes, key=lambda one: one.attempt):
        if one.counts:
            by_task.setdefault(one.task, []).append(one)
    if not by_task:
        return []
    most = min(SIZES[-1], max(map(len, by_task.values())))
    every = [by_task[task] for task in sorted(by_task)]
    return [
        _point([each for each in every if len(each) >= size], size)
        for size in sorted({*(size for size in SIZES if size < most), most})
    ]


def _point(tasks: Sequence[Sequence[Outcome]], size: int) -> Point:
    every = [one for attempts in tasks for one in attempts]
    costs = [one.cost_usd for one in every if one.cost_usd is not None]
    of_any = [pass_at(size, len(each), sum(one.passed for one in each)) for each in tasks]
    of_vote = [voted(each, size) for each in tasks]
    found_any, found_vote = mean_over(of_any), mean_over(of_vote)
    assert found_any is not None
    assert found_vote is not None
    return Point(
        attempts=size,
        any=found_any,
        vote=found_vote,
        tokens=size * fmean(one.tokens for one in every),
        seconds=size * fmean(one.seconds for one in every),
        cost_usd=size * fmean(costs) if costs else None,
    )


def voted(attempts: Sequence[Outcome], size: int) -> float:
    """How often the answer that most of `size` attempts gave is one that passes."""
    return fmean(winner_passes(chosen) for chosen in _choices(attempts, size))


def winner_passes(attempts: Sequence[Outcome]) -> bool:
    """Attempts without an answer do not vote."""
    camps: dict[str, list[Outcome]] = {}
    for one in attempts:
        if one.answer:
            camps.setdefault(one.answer, []).append(one)
    return bool(camps) and max(camps.values(), key=len)[0].passed


def _choices(attempts: Sequence[Outcome], size: int) -> Iterable[Sequence[Outcome]]:
    """All of them where they are few, else as many as are enough; the same each time."""
    if comb(len(attempts), size) <= MAX_CHOICES:
        return combinations(attempts, size)
    chance = random.Random(size)  # noqa: S311 - no secret
    return [chance.sample(list(attempts), size) for _ in range(MAX_CHOICES)]
