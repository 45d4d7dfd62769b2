"""Figures of outcomes: what is estimated, how sure it is, and whether two differ.

The unit is the task: attempts at one task are alike, so that intervals count tasks and not attempts
(Miller, "Adding Error Bars to Evals", arXiv:2411.00640). Errors count neither way.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, lcm, sqrt
from statistics import fmean

from wardian.evals.outcomes import Outcome

Z95 = 1.959963984540054
RESAMPLES = 2000
CONFIDENCE = 0.95
MAX_COUNTED = 2_000_000
"""Sums looked at in an exact test: some seconds"""
DRAWN = 9_999


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float
    tasks: int

    def as_json(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high, "tasks": self.tasks}


@dataclass(frozen=True, slots=True)
class Tally:
    """Attempts at one task that count, and those of them that passed."""

    task: str
    attempts: int
    passed: int

    @property
    def share(self) -> Fraction:
        return Fraction(self.passed, self.attempts)


def tallies(outcomes: Iterable[Outcome]) -> list[Tally]:
    """Of one model, by task, in the order of their ids; a task with nothing but errors has none."""
    counted: dict[str, list[bool]] = {}
    for one in outcomes:
        if one.counts:
            counted.setdefault(one.task, []).append(one.passed)
    return [Tally(task, len(each), sum(each)) for task, each in sorted(counted.items())]


def pass_at(k: int, attempts: int, passed: int) -> float:
    """Probability that at least one of `k` attempts passes, unbiased.

    Source: Chen et al., "Evaluating Large Language Models Trained on Code", arXiv:2107.03374, §2.1.
    """
    assert 1 <= k <= attempts
    return 1 - comb(attempts - passed, k) / comb(attempts, k)


def pass_hat(k: int, attempts: int, passed: int) -> float:
    """Probability that all of `k` attempts pass, unbiased: pass^k.

    Source: Yao et al., "τ-bench", arXiv:2406.12045, §3.
    """
    assert 1 <= k <= attempts
    return comb(passed, k) / comb(attempts, k)


def mean_over(values: Sequence[float]) -> Interval | None:
    """The mean of one value a task, each between 0 and 1; None without tasks.

    Wilson's score interval, with tasks as trials: it holds its level with few tasks and at 0 and 1,
    where the normal one has no width. Of all values between 0 and 1 with the same mean those that
    are 0 or 1 vary most, so for shares it is wide rather than narrow.
    Source: Wilson, JASA 22 (1927) 209; Brown, Cai and DasGupta, "Interval Estimation for a Binomial
    Proportion", Statistical Science 16 (2001) 101.
    """
    if not values:
        return None
    n, p = len(values), min(1.0, max(0.0, fmean(values)))
    middle = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    return Interval(p, max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half)), n)


def passing(found: Sequence[Tally], k: int, *, every: bool = False) -> Interval | None:
    """pass@k, or with `every` pass^k, over the tasks that have `k` attempts; None without any."""
    of_one = pass_hat if every else pass_at
    return mean_over([of_one(k, t.attempts, t.passed) for t in found if t.attempts >= k])


def sizes_to_show(most: int) -> list[int]:
    """Of 1 to `most`: all up to 4, powers of two, and the most."""
    return sorted({k for k in (1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512, most) if 1 <= k <= most})


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How much better `second` does than `first` on the tasks that both attempted."""

    first: str
    second: str
    tasks: int
    difference: float
    """Of the mean shares of passed attempts: above 0 the second is better"""
    low: float
    high: float
    """Bounds of its 95 % interval"""
    p_value: float
    """Two-sided: the chance of a difference as large if the two were alike"""
    p_better: float
    """One-sided: the chance of a difference as much in the second's favour"""
    better: tuple[str, ...]
    """Tasks on which the second does better"""
    worse: tuple[str, ...]

    @property
    def is_gain(self) -> bool:
        """The second is better, at the level of 5 %, two-sided as in what is printed."""
        return self.p_value < 1 - CONFIDENCE and self.difference > 0


def compared(
    first: str, before: Sequence[Tally], second: str, after: Sequence[Tally]
) -> Comparison | None:
    """Paired by task; None when they have none in common."""
    earlier = {one.task: one for one in before}
    pairs = [(earlier[one.task], one) for one in after if one.task in earlier]
    if not pairs:
        return None
    steps = [new.share - old.share for old, new in pairs]
    names = [new.task for _, new in pairs]
    two_sided, better = permutation_test(steps)
    low, high = bootstrapped([float(step) for step in steps])
    return Comparison(
        first=first,
        second=second,
        tasks=len(pairs),
        difference=float(sum(steps, Fraction(0)) / len(steps)),
        low=low,
        high=high,
        p_value=two_sided,
        p_better=better,
        better=tuple(name for name, step in zip(names, steps, strict=True) if step > 0),
        worse=tuple(name for name, step in zip(names, steps, strict=True) if step < 0),
    )


def permutation_test(steps: Sequence[Fraction]) -> tuple[float, float]:
    """Two-sided and one-sided (above 0) p-values of paired differences.

    Were the two alike, each difference could as well have the other sign. The distribution of the
    sum over all choices of signs is counted whole: differences are fractions with a common
    denominator, so that sums are whole numbers. With one attempt a task it is McNemar's exact test.
    Where that would be too much to count, signs are drawn instead.
    Source: Fisher, "The Design of Experiments" (1935) §21; Pitman, JRSS Suppl. 4 (1937) 119;
    McNemar, Psychometrika 12 (1947) 153; Phipson and Smyth, SAGMB 9 (2010) 39 for drawn signs.
    """
    unit = lcm(*(step.denominator for step in steps))
    sizes = [int(abs(step) * unit) for step in steps if step]
    observed = int(sum(steps, Fraction(0)) * unit)
    if len(sizes) * sum(sizes) <= MAX_COUNTED:
        ways = _counted(sizes)
    else:
        ways = _drawn(sizes)
        ways[observed] = ways.get(observed, 0) + 1
    every = sum(ways.values())
    two_sided = sum(count for total, count in ways.items() if abs(total) >= abs(observed))
    above = sum(count for total, count in ways.items() if total >= observed)
    return two_sided / every, above / every


def _counted(sizes: Sequence[int]) -> dict[int, int]:
    """Sum → in how many of all choices of signs it comes out."""
    ways = {0: 1}
    for size in sizes:
        following: dict[int, int] = {}
        for total, count in ways.items():
            for signed in (total + size, total - size):
                following[signed] = following.get(signed, 0) + count
        ways = following
    return ways


def _drawn(sizes: Sequence[int]) -> dict[int, int]:
    """The same of choices of signs drawn by chance, the same ones each time."""
    chance = random.Random(0)  # noqa: S311 - no secret
    ways: dict[int, int] = {}
    for _ in range(DRAWN):
        signs = chance.getrandbits(len(sizes))
        total = sum(size if signs >> i & 1 else -size for i, size in enumerate(sizes))
        ways[total] = ways.get(total, 0) + 1
    return ways


def bootstrapped(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Bounds of the 95 % interval of a mean, by resampling tasks; the same each time.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), §13.3 (percentiles).
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    count = len(values)
    means = sorted(fmean(chance.choices(values, k=count)) for _ in range(RESAMPLES))
    edge = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return means[edge], means[-edge - 1]


def adjusted(p_values: Sequence[float]) -> list[float]:
    """p-values of several comparisons made at once, so that 5 % holds for all of them together.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Stat. 6
    (1979) 65.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    found, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        found[index] = least
    return found
