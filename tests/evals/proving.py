"""Attempts at tasks, without an event loop of one's own."""

import asyncio
from pathlib import Path

from wardian.evals import checking
from wardian.evals.outcomes import Outcome
from wardian.evals.tasks import Task
from wardian.rewards.types import Reward
from wardian.types import Model


def attempt(task: Task, model: Model, folder: Path) -> Outcome:
    return asyncio.run(checking.done_by(task, model, folder))


def untouched(task: Task, answer: str, folder: Path) -> Reward:
    return asyncio.run(checking.untouched(task, answer, folder))
