"""Verifiers are also others' code: what breaks in one is a failed grading, and ends nothing else.

Covers: whatever a verifier raises; a reward that is none, or that a run's log could not hold.
Does not cover: one that never ends, or that ends the process.
"""

import json
import math
from typing import Any

from wardian.rewards.types import Attempt, GradingFailed, Reward, Verifier

MEND = "Mend the verifier, or what the task gives it."


async def graded_by(verifier: Verifier, attempt: Attempt) -> Reward:
    """The reward. Raises: GradingFailed, and nothing else that is an `Exception`."""
    try:
        reward = await verifier.grade(attempt)
        problem = _problem(reward)
    except GradingFailed:
        raise
    except Exception as broken:
        # Not `str` alone: of many exceptions it says nothing without their type.
        raise GradingFailed(
            f"The verifier {type(verifier).__name__} broke: {broken!r:.300}.", MEND
        ) from broken
    if problem:
        raise GradingFailed(f"The verifier {type(verifier).__name__} gave {problem}.", MEND)
    return reward


def _problem(reward: object) -> str:
    """What is wrong with what a verifier gave; empty where nothing is."""
    if not isinstance(reward, Reward):
        return f"no reward but {reward!r:.100}"
    value: Any = reward.value  # others may give what they like
    if not isinstance(value, int | float) or not math.isfinite(value):
        return f"the value {reward.value!r:.100}"
    try:
        json.dumps([reward.value, reward.source, reward.version, reward.detail, reward.suspicions])
    except (TypeError, ValueError, RecursionError) as problem:
        return f"a reward that is no JSON: {problem!s:.200}"
    return ""
