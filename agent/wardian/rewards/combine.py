"""Several verifiers as one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from wardian.rewards.guard import graded_by
from wardian.rewards.types import Attempt, Reward, Verifier


@dataclass(frozen=True, slots=True)
class AllOf:
    """The least of the rewards: as good as the worst thing about the attempt."""

    name: str = field(default="all", init=False)
    of: tuple[Verifier, ...]

    @property
    def version(self) -> str:
        return "1-" + "+".join(one.version for one in self.of)

    async def grade(self, attempt: Attempt) -> Reward:
        """Raises: GradingFailed."""
        rewards = await graded(self.of, attempt)
        return joined(self, min((one.value for one in rewards), default=1.0), rewards)


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """The rewards times their weights: not a share, so that a penalty stays one."""

    name: str = field(default="sum", init=False)
    of: tuple[Verifier, ...]
    weights: tuple[float, ...]
    """One for each verifier"""

    @property
    def version(self) -> str:
        parts = (f"{w:g}*{one.version}" for w, one in zip(self.weights, self.of, strict=True))
        return "1-" + "+".join(parts)

    async def grade(self, attempt: Attempt) -> Reward:
        """Raises: GradingFailed."""
        rewards = await graded(self.of, attempt)
        pairs = zip(self.weights, rewards, strict=True)
        return joined(self, sum(weight * one.value for weight, one in pairs), rewards)


async def graded(verifiers: Sequence[Verifier], attempt: Attempt) -> list[Reward]:
    """All of them at once; the first that fails fails the whole. Raises: GradingFailed."""
    tasks = [asyncio.ensure_future(graded_by(one, attempt)) for one in verifiers]
    try:
        return [await task for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def joined(verifier: Verifier, value: float, rewards: Sequence[Reward]) -> Reward:
    parts = [
        {"source": one.source, "version": one.version, "value": one.value, "detail": one.detail}
        for one in rewards
    ]
    suspicions = tuple(text for one in rewards for text in one.suspicions)
    return Reward(
        value=value,
        source=verifier.name,
        version=verifier.version,
        detail={"parts": parts},
        suspicions=suspicions,
    )
