"""What a verifier that does not keep to what was agreed can do."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from wardian.rewards.guard import graded_by
from wardian.rewards.types import Attempt, GradingFailed, Reward
from wardian.types import Task


@dataclass(frozen=True, kw_only=True)
class Gives:
    """A verifier that gives this, whatever it is."""

    reward: Any
    name: str = "gives"
    version: str = "1"

    async def grade(self, attempt: Attempt) -> Any:
        return self.reward


def reward_of(value: Any, **detail: Any) -> Reward:
    return Reward(value=value, source="gives", version="1", detail=detail)


@pytest.mark.parametrize(
    "reward",
    [None, 1.0, reward_of(float("nan")), reward_of("1"), reward_of(1.0, of=object())],
    ids=["none", "number", "nan", "text", "no json"],
)
def test_a_reward_that_could_not_be_kept_is_a_failed_grading(reward: Any) -> None:
    with pytest.raises(GradingFailed, match="The verifier Gives gave "):
        asyncio.run(graded_by(Gives(reward=reward), Attempt(task=Task(prompt="?"), answer="")))
