"""The attempts of an evaluation side by side, and which of them are still to be made."""

import asyncio
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from wardian.agent import Agent
from wardian.budget import Ledger
from wardian.evals.attempting import Place, Scaling, attempted, found_again, judged
from wardian.evals.grading import Check
from wardian.evals.outcomes import Ending, Outcome, Plan
from wardian.evals.storing import WORK_NAME, Begun, EvaluationLog, Key
from wardian.runs import new_run_id

GIVEN_UP_AFTER = 3
"""Errors of a model, none of its attempts having worked, after which it is left out"""


class Watcher(Protocol):
    """Is told how an evaluation goes."""

    def planned(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        """It begins, or goes on from these outcomes."""
        ...

    def ended(self, outcome: Outcome) -> None: ...


class Unwatched:
    """Nobody looks."""

    def planned(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        pass

    def ended(self, outcome: Outcome) -> None:
        pass


@dataclass(slots=True, kw_only=True)
class Work:
    """One evaluation while it goes on."""

    plan: Plan
    checks: Mapping[str, Check]
    folder: Path
    log: EvaluationLog
    scaling: Scaling
    within: Ledger | None
    retry_errors: bool
    watcher: Watcher
    outcomes: dict[Key, Outcome]
    begun: dict[Key, Begun]
    """Those without an outcome that counts"""
    _failed: dict[str, int] = field(default_factory=dict[str, int])
    """By contestant: how many errors it began with; below 0 once an attempt has worked"""

    async def attempt_all(self, contestant: str, agent: Agent[Any], jobs: int) -> None:
        """What this contestant has still to do. Raises: StorageError."""
        left = self.pending(contestant)

        async def work() -> None:
            for key in left:  # shared: each attempt is taken by one of the jobs
                if self.is_spent or self.is_given_up(contestant):
                    return
                await self._attempt(key, agent)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(jobs):
                    group.create_task(work())
        except BaseExceptionGroup as problems:
            raise problems.exceptions[0] from None

    def pending(self, contestant: str) -> Iterator[Key]:
        """The first attempt at every task before the second at any."""
        for attempt in range(self.plan.attempts):
            for task in self.plan.tasks:
                known = self.outcomes.get((contestant, task, attempt))
                if known is None or (self.retry_errors and not known.counts):
                    yield contestant, task, attempt

    @property
    def is_spent(self) -> bool:
        """The budget of the whole is used up."""
        return self.within is not None and self.within.reached() is not None

    def is_given_up(self, contestant: str) -> bool:
        return self._failed.get(contestant, 0) >= GIVEN_UP_AFTER

    async def _attempt(self, key: Key, agent: Agent[Any]) -> None:
        place = self._place(key)
        done = False
        try:
            outcome = await self._outcome(key, place, agent)
            if self.is_spent and outcome.ending is Ending.LIMIT:
                done = True  # cut short by what others used: it is to be made anew
                return
            self.log.end(outcome)
            self.outcomes[key] = outcome
            # What a grader broke on is kept, so that it can be graded again without asking.
            done = outcome.counts or not outcome.run_id
            self.watcher.ended(outcome)
        except asyncio.CancelledError:
            done = True
            raise
        finally:
            if done:
                await asyncio.to_thread(shutil.rmtree, place.workspace, ignore_errors=True)

    async def _outcome(self, key: Key, place: Place, agent: Agent[Any]) -> Outcome:
        if key in self.begun:
            if made := await asyncio.to_thread(found_again, agent, place):
                return await judged(agent, place, made)
            await asyncio.to_thread(shutil.rmtree, place.workspace, ignore_errors=True)
            place = self._place(key, anew=True)
        self.log.begin(Begun(key=key, run_id=place.run_id))
        self.begun[key] = Begun(key=key, run_id=place.run_id)
        seed = None if self.plan.seed is None else self.plan.seed + place.attempt
        outcome = await attempted(agent, place, seed=seed, scaling=self.scaling, within=self.within)
        self._learn(outcome)
        return outcome

    def _learn(self, outcome: Outcome) -> None:
        if outcome.counts:
            self._failed[outcome.model] = -1  # it can work
        elif (failed := self._failed.get(outcome.model, 0)) >= 0:
            self._failed[outcome.model] = failed + 1

    def _place(self, key: Key, *, anew: bool = False) -> Place:
        contestant, task, attempt = key
        known = None if anew else self.begun.get(key)
        run_id = known.run_id if known else new_run_id()
        number = list(self.plan.models).index(contestant) * len(self.plan.tasks)
        number += self.plan.tasks.index(task)
        check = self.checks[task]
        return Place(
            contestant=contestant,
            check=check,
            attempt=attempt,
            workspace=self.folder / WORK_NAME / run_id,
            run_id=run_id,
            group={
                "id": f"{self.plan.id}-{number}",
                "index": attempt,
                "size": self.plan.attempts,
                "select": "eval",
            },
            tags=(
                f"eval:{self.plan.id}",
                f"suite:{self.plan.suite}",
                f"task:{task}",
                f"family:{check.task.family}",
                f"split:{check.task.split}",
                f"attempt:{attempt}",
            ),
        )
