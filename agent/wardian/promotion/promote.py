"""Weighs a candidate against the model in service, and puts it in service if it is better.

Nothing is put in service before the decision and its evidence are on the disk, and that step is
one replaced file (`wardian.models.choices`): a kill at any moment leaves the old model or the new
one. What was evaluated is kept by what it is about, so that the same command goes on where it was
cut off, and never rolls the dice again for a better result.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardian.agent import Agent
from wardian.budget import Ledger
from wardian.errors import ConfigurationError, StorageError
from wardian.evals.evaluate import evaluate
from wardian.evals.loading import load_suite
from wardian.evals.outcomes import Evaluation
from wardian.evals.storing import EvaluationStore
from wardian.evals.tasks import Suite
from wardian.evals.working import Unwatched, Watcher
from wardian.models.choices import Choices
from wardian.models.registry import Registry, name_of
from wardian.promotion.gate import (
    CANDIDATE,
    PRESENT,
    TOLERATED_LOSS,
    Decision,
    Verdict,
    decide,
    showing,
)
from wardian.runs import new_run_id
from wardian.settings.places import make_folder, paths
from wardian.settings.replacing import replace_file

FOLDER = "promotions"
"""Below the folder of models: a file a decision"""
KEY = "promotion"
"""In an evaluation's settings: what it is about"""
BUILT_IN = "tiny"

Agents = Callable[[str], Agent[Any]]
"""An agent for a model's spelling"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """By which tasks is decided, and how."""

    suite: str
    """Name or path of the user's held-out tasks"""
    guard: str | None = None
    """Of tasks of old abilities; None for no guard"""
    split: str | None = "test"
    """None takes all tasks of a suite"""
    attempts: int = 4
    jobs: int = 4
    seed: int | None = 0
    tolerated_loss: float = TOLERATED_LOSS
    """By how much the guard's mean may fall where that is not significant"""
    again: bool = False
    """Evaluate anew what was evaluated before"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where everything is kept."""

    choices: Choices
    registry: Registry
    evaluations: EvaluationStore
    decisions: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Places":
        """The user's own."""
        own = paths(environ)
        return cls(
            choices=Choices(own.config_file, own.models),
            registry=Registry(own.models),
            evaluations=EvaluationStore(own.evaluations),
            decisions=own.models / FOLDER,
        )


@dataclass(slots=True, kw_only=True)
class Work:
    """One weighing while it goes on."""

    trial: Trial
    places: Places
    agents: Agents
    present: str
    candidate: str
    within: Ledger | None = None
    watcher: Watcher = field(default_factory=Unwatched)

    async def evaluated(self, name: str) -> Evaluation:
        """Both models on the suite `name`; what broke is tried once more. Raises: WardianError."""
        suite = held_out(name, self.trial.split)
        agents = {PRESENT: self.agents(self.present), CANDIDATE: self.agents(self.candidate)}
        check_different(agents)
        key = key_of(suite, agents, self.trial)
        begun = "" if self.trial.again else found_by(self.places.evaluations, key)
        found = await self._evaluate(suite, agents, key, begun)
        if found.errors:
            found = await self._evaluate(suite, agents, key, found.plan.id)
        return found

    async def _evaluate(
        self, suite: Suite, agents: dict[str, Agent[Any]], key: str, begun: str
    ) -> Evaluation:
        return await evaluate(
            suite,
            agents,
            attempts=self.trial.attempts,
            jobs=self.trial.jobs,
            seed=self.trial.seed,
            within=self.within,
            settings={KEY: key},
            resume=begun,
            retry_errors=True,
            close=True,
            evaluations=self.places.evaluations,
            watcher=self.watcher,
        )

    async def decided(self) -> Decision:
        """Raises: WardianError."""
        suite = showing(await self.evaluated(self.trial.suite))
        guard = showing(await self.evaluated(self.trial.guard)) if self.trial.guard else None
        return decide(suite, guard, tolerated_loss=self.trial.tolerated_loss)


async def promote(
    candidate: str,
    trial: Trial,
    *,
    against: str = "",
    agents: Agents | None = None,
    places: Places | None = None,
    within: Ledger | None = None,
    dry_run: bool = False,
    watcher: Watcher | None = None,
) -> Decision:
    """Evaluate the candidate and the model in service; put the candidate in its place if better.

    Args:
        candidate: The model's spelling, such as `local:NAME`.
        against: What it has to beat; empty is the model in service.
        agents: Makes the agent that attempts tasks with a model; None takes the usual settings.
        within: A budget for all attempts. Where it is used up the verdict is `UNDECIDED`, and the
            same call later goes on.
        dry_run: Decide and keep the decision, but change nothing.

    Raises: WardianError for suites and models that cannot be used; nothing is changed then.
    """
    places = places or Places.of(os.environ)
    present = against or places.choices.now().model or BUILT_IN
    work = Work(
        trial=trial,
        places=places,
        agents=agents or Agent,
        present=present,
        candidate=candidate,
        within=within,
        watcher=watcher or Unwatched(),
    )
    decision = await work.decided()
    record = keep(decision, work, dry_run=dry_run)
    if decision.verdict is Verdict.BETTER and not dry_run:
        evidence = {"verdict": decision.reason, "decision": record["id"]}
        places.choices.use(candidate, "promote", evidence)
    return decision


def keep(decision: Decision, work: Work, *, dry_run: bool) -> dict[str, Any]:
    """Write the decision with its evidence, and note it with the candidate."""
    record = {
        "id": new_run_id(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "candidate": work.candidate,
        "present": work.present,
        "dry_run": dry_run,
        "tolerated_loss": work.trial.tolerated_loss,
        **decision.as_json(),
    }
    path = make_folder(work.places.decisions) / f"{record['id']}.json"
    replace_file(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    name = name_of(work.candidate)
    if name is not None:
        short = {key: record[key] for key in ("id", "at", "present", "dry_run", "reason")}
        verdict = str(decision.verdict) + (" (dry run)" if dry_run else "")
        work.places.registry.note(name, "promotions", {**short, "verdict": verdict})
    return record


def held_out(name: str, split: str | None) -> Suite:
    """The suite's tasks of the split. Raises: ConfigurationError."""
    if split is None:
        return load_suite(name)
    splits = {str(task.split) for task in load_suite(name).tasks}
    if split not in splits:
        raise ConfigurationError(
            f"The suite {name} has no tasks in the split {split}, only in "
            f"{', '.join(sorted(splits))}.",
            "Name one of those with --split, and never the one that was trained on.",
        )
    return load_suite(name, split=split)


def check_different(agents: Mapping[str, Agent[Any]]) -> None:
    """Raises: ConfigurationError where candidate and present are one model."""
    one, other = (_weights(agents[name]) for name in (PRESENT, CANDIDATE))
    if one == other:
        raise ConfigurationError(
            "The candidate is the model in service: there is nothing to decide.",
            "Name another, or what it should be better than: --against MODEL",
        )


def key_of(suite: Suite, agents: Mapping[str, Agent[Any]], trial: Trial) -> str:
    """What an evaluation is about: equal keys, equal question."""
    about = {
        "suite": suite.digest,
        "attempts": trial.attempts,
        "seed": trial.seed,
        **{name: _weights(agent) for name, agent in agents.items()},
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


def found_by(evaluations: EvaluationStore, key: str, name_of_key: str = KEY) -> str:
    """The newest evaluation about the same; empty where there is none."""
    for name in evaluations.ids():
        with suppress(ConfigurationError, StorageError):  # a damaged one is no help
            if evaluations.load(name).plan.settings.get(name_of_key) == key:
                return name
    return ""


def _weights(agent: Agent[Any]) -> dict[str, Any]:
    identity = agent.model.identity
    hashes = {key: value for key, value in identity.items() if "sha256" in key or key == "adapters"}
    return hashes or {"name": agent.model.name}
