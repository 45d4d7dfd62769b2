"""What an evaluation finds: one outcome an attempt, and all of them together."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

SCHEMA = "wardian-evaluation/1"


class Ending(StrEnum):
    """What became of one attempt. The first is success, the others say why not."""

    PASSED = "passed"
    """It came to an answer, and its check was content."""
    WRONG = "wrong"
    """It came to an answer, and its check was not content."""
    TAMPERED = "tampered"
    """It changed what the task protects."""
    LIMIT = "limit"
    """A limit of steps, calls, tokens, cost or time was reached before it came to an answer."""
    MALFORMED = "malformed"
    """Too many replies in a row could not be used."""
    APPROVAL = "approval"
    """A call needed a person, and in an evaluation nobody is asked."""
    CONTEXT = "context"
    """The conversation grew longer than the model can read."""
    ERROR = "error"
    """The model, the sandbox or the grader broke: nothing is known, so it is not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One attempt of one model at one task."""

    model: str
    """The contestant's name in the evaluation"""
    task: str
    family: str
    split: str
    attempt: int
    """0 for the first"""
    run_id: str = ""
    """Its trajectory in the store; of several samples, the chosen one's; empty without one"""
    ending: Ending
    value: float | None = None
    """The reward; None where it is not known"""
    detail: str = ""
    """Why it did not pass, in a sentence"""
    broke: str = ""
    """Of an error: `model`, `sandbox` or `grader`; empty where that is not known"""
    suspicions: tuple[str, ...] = ()
    """What a person should look at before a pass is believed"""
    verifier: str = ""
    """Version of the check"""
    answer: str = ""
    """A digest, the same for answers that say the same: votes are counted by it"""
    steps: int = 0
    tool_calls: int = 0
    tokens: int = 0
    """Prompt and reply, over all replies"""
    cost_usd: float | None = None
    """None where the price is not known"""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return self.ending is Ending.PASSED

    @property
    def counts(self) -> bool:
        """False for errors: they say nothing about the model."""
        return self.ending is not Ending.ERROR

    @property
    def key(self) -> tuple[str, str, int]:
        return self.model, self.task, self.attempt

    def as_json(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if v not in ("", (), None)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an evaluation is to do: enough to go on with it, and to say what was measured."""

    id: str
    suite: str
    """Its name"""
    source: str
    """Where it was loaded from"""
    version: str
    digest: str
    """Of its tasks"""
    tasks: tuple[str, ...]
    """Their ids, in order"""
    models: Mapping[str, Mapping[str, Any]]
    """By contestant: what its trajectories say of the model"""
    attempts: int
    seed: int | None
    scaling: Mapping[str, Any]
    """`samples` and `select`, where an attempt is more than one run"""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the caller adds, such as the options of the command"""
    started: str = ""
    """UTC, ISO 8601"""
    wardian_version: str = ""

    @property
    def size(self) -> int:
        """Attempts in all."""
        return len(self.tasks) * len(self.models) * self.attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A plan, and the outcomes there are so far."""

    plan: Plan
    outcomes: tuple[Outcome, ...]
    path: Path | None = None
    """Where it is kept; None where nothing is"""

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self.plan.models)

    @property
    def is_complete(self) -> bool:
        """Every attempt has an outcome that counts."""
        return sum(one.counts for one in self.outcomes) == self.plan.size

    @property
    def errors(self) -> tuple[Outcome, ...]:
        return tuple(one for one in self.outcomes if not one.counts)

    def of(self, model: str) -> tuple[Outcome, ...]:
        return tuple(one for one in self.outcomes if one.model == model)


def latest(outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """The last one of each attempt, in the order of the first ones: a retry replaces an error."""
    found: dict[tuple[str, str, int], Outcome] = {}
    for one in outcomes:
        found[one.key] = one
    return tuple(found.values())
