"""What a circle is to do: checked before anything is asked."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from wardian.errors import ConfigurationError
from wardian.evals.loading import load_suite
from wardian.evals.tasks import Split, Suite
from wardian.train.gguf.quantise import checked_quantisation
from wardian.train.recipe import Method

MAX_ROUNDS = 100


class Stage(StrEnum):
    """One round, in this order."""

    COLLECT = "collect"
    """The present model attempts tasks of the train split: ordinary runs with rewards."""
    SCORE = "score"
    """What the rewards say, and whether there is anything to learn from them."""
    BUILD = "build"
    """Runs become training data."""
    TRAIN = "train"
    """The data becomes weights."""
    CONVERT = "convert"
    """The weights become a registered GGUF file that computes the same."""
    GATE = "gate"
    """Candidate and present model attempt held-out tasks."""
    PROMOTE = "promote"
    """The better one is in service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A circle over one suite."""

    suite: str
    """Name or path; its train split is learned from, the others are held out"""
    start: str
    """Spelling of the model to begin with"""
    rounds: int = 3
    methods: tuple[str, ...] = ("sft",)
    """Of the first round, the second, …; the last one is of all that follow"""
    tasks: int = 0
    """Of the train split to a round, others each time; 0 takes all"""
    attempts: int = 4
    """At each of them"""
    gate_split: str = ""
    """Empty takes `dev` where the suite has one, so that `test` is not chosen by; else `test`"""
    gate_attempts: int = 4
    guard: str | None = None
    """Suite of old abilities; None for none"""
    quantisation: str = "F16"
    seed: int = 0
    promotes: bool = True
    """Put what is better in service; else it is only the next round's model"""
    recipes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Method → recipe file"""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Keys in place of the recipes', where their method has them"""
    choice: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the data, in place of `wardian.data.Choice`'s own: `threshold`, `margin`, …"""

    def method(self, number: int) -> Method:
        """Of the round `number`, from 0."""
        return Method(self.methods[min(number, len(self.methods) - 1)])

    @property
    def digest(self) -> str:
        """Of all but `rounds`, of which more may be asked for later."""
        said = {key: value for key, value in asdict(self).items() if key != "rounds"}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def check(plan: Plan) -> None:
    """Raises: ConfigurationError."""
    if not 1 <= plan.rounds <= MAX_ROUNDS:
        raise ConfigurationError(
            f"There cannot be {plan.rounds} rounds.", f"Take between 1 and {MAX_ROUNDS}."
        )
    unknown = [name for name in (*plan.methods, *plan.recipes) if name not in list(Method)]
    if unknown or not plan.methods:
        raise ConfigurationError(
            f"{unknown[0] if unknown else 'Nothing'!r} is no method of training.",
            f"Choose of {', '.join(Method)}.",
        )
    if plan.attempts < 1 or plan.gate_attempts < 1 or plan.tasks < 0:
        raise ConfigurationError("Each task needs an attempt.", "Take one or more.")
    if plan.attempts < 2 and any(name != Method.SFT for name in plan.methods):
        raise ConfigurationError(
            "Only sft learns from single attempts: the others compare attempts at a task.",
            "Take --attempts 4 or more.",
        )
    checked_quantisation(plan.quantisation)
    suite = load_suite(plan.suite)
    splits = splits_of(suite)
    if Split.TRAIN not in splits:
        raise ConfigurationError(
            f"The suite {suite.name} has no tasks in its train split, only in "
            f"{', '.join(sorted(splits))}: learning from those would make every score worthless.",
            'Give some of its tasks split = "train".',
        )
    held = gate_split(plan, suite)
    if held == Split.TRAIN or held not in splits:
        raise ConfigurationError(
            f"The suite {suite.name} has no held-out tasks{f' in {held}' if held else ''}.",
            'Give some of its tasks split = "dev" or "test".',
        )
    if plan.guard and held not in splits_of(load_suite(plan.guard)):
        raise ConfigurationError(
            f"The guard {plan.guard} has no tasks in {held}, by which rounds are decided, only in "
            f"{', '.join(sorted(splits_of(load_suite(plan.guard))))}.",
            "Choose another split with --gate-split, or another suite with --guard, or --no-guard.",
        )
    contaminated = sorted(_prompts(suite, Split.TRAIN) & _prompts(suite, held))
    if contaminated:
        raise ConfigurationError(
            f"{len(contaminated)} tasks of {suite.name} are in train and in {held}, the first: "
            f"{contaminated[0][:80]!r}.",
            "Take them out of one split: what was trained on says nothing.",
        )


def gate_split(plan: Plan, suite: Suite) -> str:
    if plan.gate_split:
        return plan.gate_split
    splits = splits_of(suite)
    return next((str(one) for one in (Split.DEV, Split.TEST) if one in splits), "")


def splits_of(suite: Suite) -> set[str]:
    return {str(task.split) for task in suite.tasks}


def _prompts(suite: Suite, split: str) -> set[str]:
    """Prompts with the files they speak of: the same words about other files are another task."""
    return {
        json.dumps([task.prompt, sorted(task.files.items()), str(task.workspace or "")])
        for task in suite.tasks
        if task.split == split
    }
