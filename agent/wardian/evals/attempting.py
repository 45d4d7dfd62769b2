"""One attempt: an ordinary run of an agent at a task, in a workspace of its own, and its grade."""

import asyncio
import copy
import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wardian.agent import Agent
from wardian.approval import Grants
from wardian.budget import Ledger
from wardian.errors import (
    ConfigurationError,
    ContextOverflow,
    ModelError,
    RunNotFound,
    StorageError,
    WardianError,
)
from wardian.evals.contents import make_workspace
from wardian.evals.grading import Check, fault_of, protected_state
from wardian.evals.made import Made, of_group, of_log, of_run
from wardian.evals.outcomes import Ending, Outcome
from wardian.evals.tasks import Task
from wardian.events import RunFinished
from wardian.privacy import Session
from wardian.reruns.forking import annotate
from wardian.rewards.judge import RubricJudge
from wardian.rewards.steps import StepRewards
from wardian.rewards.types import Attempt, GradingFailed, Reward, Verifier
from wardian.runs import RunStore
from wardian.scale.attempts import Candidate
from wardian.scale.best_of import best_of
from wardian.scale.refine import refine
from wardian.scale.vote import Chosen, plain, same_maths, same_text, vote
from wardian.types import Stop
from wardian.types import Task as Asked
from wardian_policies.types import Budgets
from wardian_sandbox.errors import SandboxError
from wardian_tools import Registry, Tool, select

ENDINGS = {
    Stop.STEPS: Ending.LIMIT,
    Stop.TOOL_CALLS: Ending.LIMIT,
    Stop.TOKENS: Ending.LIMIT,
    Stop.COST: Ending.LIMIT,
    Stop.TIME: Ending.LIMIT,
    Stop.CONTEXT: Ending.CONTEXT,
    Stop.MALFORMED: Ending.MALFORMED,
    Stop.APPROVAL: Ending.APPROVAL,
}
MAX_DETAIL_CHARS = 300
SELECTS = ("vote", "maths", "judge", "steps", "reward")
"""What may choose among samples; `reward` is what a run earns by itself, by its steps"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """More than one run an attempt, of which one is chosen: samples, then rounds of criticism."""

    samples: int = 1
    select: str = "vote"
    """One of `SELECTS`"""
    rounds: int = 0
    """Of criticism"""
    judge: RubricJudge | None = None
    """Who chooses, with `judge`, or criticises"""

    def __post_init__(self) -> None:
        assert not self.rounds or self.judge
        if self.select not in SELECTS:
            cannot = (
                "The verifier of a task cannot choose among the samples that it is to measure: who"
                " uses the model has no such answer key."
                if self.select == "verifier"
                else f"Samples cannot be chosen by {self.select!r:.80}."
            )
            raise ConfigurationError(
                cannot,
                f"Take {', '.join(SELECTS)}; what the best of N would come to is pass@N of"
                " --attempts N.",
            )

    @property
    def is_plain(self) -> bool:
        return self.samples == 1 and not self.rounds

    def as_json(self) -> dict[str, Any]:
        several = {"samples": self.samples, "select": self.select} if self.samples > 1 else {}
        return several | ({"rounds": self.rounds} if self.rounds else {})


ONCE = Scaling()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which attempt it is, and where it is made."""

    contestant: str
    check: Check
    attempt: int
    workspace: Path
    run_id: str
    """Of its run; of several samples no run has it"""
    group: dict[str, Any]
    """As in `RunStarted`: the attempts of one model at one task are a group"""
    tags: tuple[str, ...]

    @property
    def task(self) -> Task:
        return self.check.task


async def attempted(
    agent: Agent[Any], place: Place, *, seed: int | None, scaling: Scaling, within: Ledger | None
) -> Outcome:
    """Make the attempt and grade it.

    Raises: StorageError. What else breaks is an outcome.
    """
    task = place.task
    await asyncio.to_thread(_laid, place)
    began_with = protected_state(task, place.workspace)
    one = configured(agent, place, seed)
    began = time.monotonic()
    try:
        if scaling.is_plain:
            made = await _plain(one, task, place.run_id, within)
        else:
            made = await _scaled(one, task, scaling, seed, within)
    except ContextOverflow as problem:
        made = of_log(one.store, place.run_id, problem, time.monotonic() - began)
        return outcome_of(place, made, Ending.CONTEXT, 0.0, str(problem))
    except StorageError:
        raise
    except (WardianError, SandboxError) as problem:
        made = of_log(one.store, place.run_id, problem, time.monotonic() - began)
        broken = outcome_of(place, made, Ending.ERROR, None, str(problem))
        return replace(broken, broke=what_broke(problem))
    made.began_with = began_with
    return await judged(one, place, made)


async def judged(agent: Agent[Any], place: Place, made: Made) -> Outcome:
    """The outcome of an attempt whose run is over; its reward is noted in its log.

    Raises: StorageError.
    """
    if made.stop is not Stop.DONE:
        ending = ENDINGS.get(made.stop or Stop.FAILED, Ending.ERROR)
        value = None if ending is Ending.ERROR else 0.0
        reward = Reward(value=0.0, source="ending", version="1", detail={"problem": made.error})
        if value is not None:
            _note(agent.store, made, reward)
        return outcome_of(place, made, ending, value, made.error)
    asked = Asked(prompt=place.task.prompt)
    attempt = Attempt(
        task=asked, answer=made.answer, events=tuple(made.events), workspace=place.workspace
    )
    try:
        reward = await place.check.grade(attempt, made.began_with)
    except GradingFailed as problem:
        broken = outcome_of(place, made, Ending.ERROR, None, f"The grader broke: {problem}")
        return replace(broken, broke="grader")
    _note(agent.store, made, reward)
    if reward.source == "protected":
        ending = Ending.TAMPERED
    else:
        ending = Ending.PASSED if reward.passed else Ending.WRONG
    fault = "" if reward.passed else fault_of(reward)
    found = outcome_of(place, made, ending, reward.value, fault)
    return replace(found, suspicions=reward.suspicions, verifier=reward.version)


def what_broke(problem: Exception) -> str:
    """As `Outcome.broke` has it."""
    if isinstance(problem, SandboxError):
        return "sandbox"
    return "model" if isinstance(problem, ModelError) else ""


def found_again(agent: Agent[Any], place: Place) -> Made | None:
    """An attempt that was cut off between its run's end and its grade; None if it never ended."""
    if agent.store is None or not place.workspace.is_dir():
        return None
    try:
        run = agent.store.load(place.run_id)
    except (RunNotFound, StorageError):
        return None
    finished = run.finished
    if finished is None or finished.stop in (Stop.CANCELLED, Stop.FAILED):
        return None
    made = of_run(finished, run.run_id, run.events)
    made.began_with = _as_it_began(place)
    return made


def configured(agent: Agent[Any], place: Place, seed: int | None) -> Agent[Any]:
    """The agent as it makes this attempt: the same but for what the task says."""
    task = place.task
    one: Agent[Any] = copy.copy(agent)
    one.workspace = place.workspace
    one.workspace_mode = "mount"
    one.grants, one.session = Grants(), Session()
    one.tags = (*agent.tags, *place.tags)
    one.group = place.group
    one.ask_user = one.approve = None
    if task.tools is not None:
        mine = {tool.name: tool for tool in agent.registry}
        one.registry = Registry([tool for name in task.tools for tool in _named(name, mine)])
    if task.system:
        one.instructions = "\n\n".join(filter(None, (agent.instructions, task.system)))
    if task.image:
        one.sandbox_image = task.image
    one.policy = agent.policy.with_budgets(narrower(agent.policy.budgets, task.limits))
    if seed is not None:
        one.sampling = replace(agent.sampling, seed=seed)
    return one


def narrower(given: Budgets, wanted: Budgets) -> Budgets:
    """The task's limits in place of the policy's, where it has any."""
    said = {name: value for name, value in asdict(wanted).items() if value is not None}
    return replace(given, **said)


def _named(name: str, mine: dict[str, Tool]) -> Sequence[Tool]:
    return [mine[name]] if name in mine else list(select([name]))


def _laid(place: Place) -> None:
    """Raises: StorageError."""
    try:
        place.workspace.mkdir(mode=0o700, parents=True)
        make_workspace(place.workspace, place.task.workspace, place.task.files)
    except (OSError, shutil.Error) as problem:
        raise StorageError(
            f"The workspace of {place.task.id} cannot be made: {problem}.",
            "Free some space, or see that the task's files are readable.",
        ) from problem


def _as_it_began(place: Place) -> dict[str, str]:
    """What the task protects, from a workspace made anew."""
    if not place.task.protected:
        return {}
    again = replace(place, workspace=place.workspace.with_name(place.workspace.name + "-again"))
    try:
        shutil.rmtree(again.workspace, ignore_errors=True)
        _laid(again)
        return protected_state(place.task, again.workspace)
    finally:
        shutil.rmtree(again.workspace, ignore_errors=True)


async def _plain(agent: Agent[Any], task: Task, run_id: str, within: Ledger | None) -> Made:
    beginning = agent.beginning(Asked(prompt=task.prompt), within=within)
    result = await agent.perform(replace(beginning, run_id=run_id))
    assert agent.store is not None
    events = agent.store.load(result.run_id).events
    finished = next(e for e in reversed(events) if isinstance(e, RunFinished))
    return of_run(finished, result.run_id, events)


async def _scaled(
    agent: Agent[Any], task: Task, scaling: Scaling, seed: int | None, within: Ledger | None
) -> Made:
    """What chose among the runs is not noted as their reward: the task's own grade is."""
    began = time.monotonic()
    asked = Asked(prompt=task.prompt)
    chosen = await _chosen(agent, asked, scaling, seed, within) if scaling.samples > 1 else None
    group, winner = (chosen.group, chosen.winner) if chosen else (None, None)
    if group is None or (scaling.rounds and winner):
        assert scaling.judge is not None
        refined = await refine(
            agent, asked, scaling.rounds, scaling.judge, first=chosen, notes=False, within=within
        )
        group, winner = refined.group, refined.best
    if within and within.reached():
        winner = next(filter(_is_cut_short, group.candidates), winner)
    group.ledger.close()
    return of_group(agent.store, group, winner, time.monotonic() - began)


def _is_cut_short(candidate: Candidate) -> bool:
    """Did a limit end it? Those that it left are not the ones that were to be chosen from."""
    stop = candidate.result.stop if candidate.result else None
    return stop is not None and ENDINGS.get(stop) is Ending.LIMIT


async def _chosen(
    agent: Agent[Any], asked: Asked, scaling: Scaling, seed: int | None, within: Ledger | None
) -> Chosen:
    if scaling.select in ("vote", "maths"):
        same = same_maths if scaling.select == "maths" else same_text
        return await vote(agent, asked, scaling.samples, same=same, seed=seed, within=within)
    verifier: Verifier = StepRewards()
    if scaling.select == "judge":
        assert scaling.judge is not None
        verifier = scaling.judge
    return await best_of(
        agent, asked, scaling.samples, verifier, seed=seed, notes=False, within=within
    )


def _note(store: RunStore | None, made: Made, reward: Reward) -> None:
    """Into the run's log, once. Raises: StorageError."""
    event = reward.event()
    if store and made.run_id and event not in made.events:
        annotate(store, made.run_id, event)


def outcome_of(
    place: Place, made: Made, ending: Ending, value: float | None, detail: str
) -> Outcome:
    answer = plain(made.answer) if made.stop is Stop.DONE else ""
    return Outcome(
        model=place.contestant,
        task=place.task.id,
        family=place.task.family,
        split=str(place.task.split),
        attempt=place.attempt,
        run_id=made.run_id,
        ending=ending,
        value=value,
        detail=detail[:MAX_DETAIL_CHARS],
        answer=hashlib.sha256(answer.encode("utf-8", "replace")).hexdigest()[:16] if answer else "",
        steps=made.steps,
        tool_calls=made.tool_calls,
        tokens=made.tokens,
        cost_usd=made.cost_usd,
        seconds=round(made.seconds, 4),
    )
