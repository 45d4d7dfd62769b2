"""The vocabulary of grading: an attempt at a task, the reward it earned, who gives rewards."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from wardian.errors import WardianError
from wardian.events import Recorded, Rewarded, RunFinished, RunStarted
from wardian.runs.trajectory import Trajectory
from wardian.types import Task
from wardian_policies.labels import FlowState

MAX_ANSWER_CHARS = 100_000
"""More of an answer is not graded."""


class GradingFailed(WardianError):
    """A verifier could not do its work; what the attempt is worth is not known.

    Never a reward of 0: in a group of attempts that would teach the model the grader's faults.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What is graded: a task, and what one run made of it."""

    task: Task
    answer: str
    events: tuple[Recorded, ...] = ()
    """Of the run, in order; empty where only its answer is known"""
    workspace: Path | None = None
    """Its files as the run left them; only ever read, and copied before anything runs on them"""
    flow: FlowState = field(default_factory=FlowState)
    """What the run had read, where its events do not say it"""

    @classmethod
    def of(cls, trajectory: Trajectory, workspace: Path | None = None) -> "Attempt":
        """A stored run as an attempt. Raises: GradingFailed when it has no task."""
        return cls.from_events(trajectory.events, workspace)

    @classmethod
    def from_events(cls, events: Iterable[Recorded], workspace: Path | None = None) -> "Attempt":
        """Raises: GradingFailed when they tell of no task."""
        events = tuple(events)
        started = next((e for e in events if isinstance(e, RunStarted)), None)
        if started is None:
            raise GradingFailed("The run does not say what its task was.", "Grade another one.")
        finished = next((e for e in reversed(events) if isinstance(e, RunFinished)), None)
        answer = finished.answer if finished else ""
        return cls(task=started.task, answer=answer, events=events, workspace=workspace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """What one verifier says of one attempt."""

    value: float
    """0 is worthless and 1 is perfect; a penalty may be below 0"""
    source: str
    """The verifier's name"""
    version: str
    """Of the verifier and what it was given: equal versions grade alike"""
    detail: dict[str, Any] = field(default_factory=dict[str, Any])
    """Why, as JSON values"""
    suspicions: tuple[str, ...] = ()
    """What a person should look at before this is believed, one sentence each"""

    @property
    def passed(self) -> bool:
        return self.value >= 1.0

    def event(self) -> Rewarded:
        """As the log of the whole run has it."""
        return Rewarded(
            step=0,
            value=self.value,
            source=self.source,
            version=self.version,
            detail=self.detail,
            suspicions=self.suspicions,
        )


class Verifier(Protocol):
    """Gives rewards. Offered to others by an entry point of the group `wardian.verifiers`."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Changes with whatever could change a reward."""
        ...

    async def grade(self, attempt: Attempt) -> Reward:
        """Raises: GradingFailed."""
        ...
