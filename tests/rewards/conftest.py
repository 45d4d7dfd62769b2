"""Attempts to grade."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian.rewards.types import Attempt, Reward, Verifier
from wardian.types import Task

Grade = Callable[..., Reward]


@pytest.fixture
def grade() -> Grade:
    """`grade(verifier, answer, workspace=…, events=…)`: the reward of an attempt."""

    def grading(
        verifier: Verifier, answer: str = "", workspace: Path | None = None, events: Any = ()
    ) -> Reward:
        attempt = Attempt(
            task=Task(prompt="p"), answer=answer, workspace=workspace, events=tuple(events)
        )
        return asyncio.run(verifier.grade(attempt))

    return grading
