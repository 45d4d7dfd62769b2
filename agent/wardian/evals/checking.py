"""Is a task one? Its check is content with a right attempt and with none that did nothing.

Covers: a verifier that cannot be made or breaks; one that an untouched workspace and an answer
without a look satisfy; a reference solution, where there is one, that does not pass.
Does not cover: a check that takes a wrong attempt for a right one. Read what passes.
"""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from wardian.agent import Agent
from wardian.errors import ConfigurationError, WardianError
from wardian.evals.attempting import ONCE, Place, attempted
from wardian.evals.contents import make_workspace
from wardian.evals.grading import Check, protected_state, verifier_for
from wardian.evals.harbor import oracle_of
from wardian.evals.outcomes import Outcome
from wardian.evals.suites.catalogue import reference_of
from wardian.evals.suites.drafts import solved
from wardian.evals.suites.experts import Expert, Step, expert_model, shell
from wardian.evals.tasks import Task
from wardian.events import ModelReplied
from wardian.rewards.containers import HarborTests
from wardian.rewards.judge import RubricJudge
from wardian.rewards.types import Attempt, GradingFailed, Reward
from wardian.runs import RunStore
from wardian.runs.ids import new_run_id
from wardian.types import Finish, Message, Model, Reply, Role
from wardian.types import Task as Asked

BLIND_ANSWER = "42"
SOLUTION = "solution"
"""Key of a task's `meta`: `commands` of the shell or `calls` (`tool`, `arguments`), and `answer`"""


class Verdict(StrEnum):
    """What trying a task showed."""

    PROVEN = "proven"
    """Its reference solution passes, and who does nothing does not."""
    PLAUSIBLE = "plausible"
    """Who does nothing does not pass; no reference solution was given."""
    BROKEN = "broken"
    """It cannot be graded, passes without being done, or its solution fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found out about one task."""

    task: Task
    verdict: Verdict
    why: str = ""


async def check_task(task: Task, *, sandbox: str = "auto") -> Finding:
    """Try a task: done with its reference solution, and not at all."""
    try:
        verifier = verifier_for(task)
    except ConfigurationError as problem:
        return Finding(task=task, verdict=Verdict.BROKEN, why=str(problem))
    with tempfile.TemporaryDirectory(prefix="wardian-checking-") as temporary:
        folder = Path(temporary)
        try:
            reward = await untouched(task, BLIND_ANSWER, folder)
        except GradingFailed as problem:
            return Finding(task=task, verdict=Verdict.BROKEN, why=str(problem))
        except OSError as problem:
            why = f"Its workspace cannot be made: {problem}."
            return Finding(task=task, verdict=Verdict.BROKEN, why=why)
        if reward.passed:
            why = f"Its check passes when nothing was done but to answer {BLIND_ANSWER}."
            return Finding(task=task, verdict=Verdict.BROKEN, why=why)
        if (oracle := oracle_of(task)) is not None:
            return await _by_oracle(task, oracle, folder)
        expert = solution_of(task)
        if expert is None or isinstance(verifier, RubricJudge):
            return Finding(task=task, verdict=Verdict.PLAUSIBLE, why="no reference solution")
        try:
            outcome = await done_by(task, expert_model(expert), folder, sandbox=sandbox)
        except (WardianError, LookupError, ValueError) as problem:
            why = f"Its reference solution broke: {problem}"
            return Finding(task=task, verdict=Verdict.BROKEN, why=why)
    if outcome.passed:
        return Finding(task=task, verdict=Verdict.PROVEN)
    why = f"Its reference solution ended as {outcome.ending}: {outcome.detail}"
    return Finding(task=task, verdict=Verdict.BROKEN, why=why)


async def _by_oracle(task: Task, oracle: HarborTests, folder: Path) -> Finding:
    """Of a Harbor task, whose solution is a script for its own container."""
    workspace = folder / "oracle"
    try:
        workspace.mkdir()
        await asyncio.to_thread(make_workspace, workspace, task.workspace, task.files)
        reward = await oracle.grade(said_at_once(task, "", workspace))
    except (GradingFailed, OSError) as problem:
        return Finding(task=task, verdict=Verdict.BROKEN, why=str(problem))
    if reward.passed:
        return Finding(task=task, verdict=Verdict.PROVEN)
    why = f"Its solution earns {reward.value:g}: {reward.detail.get('output', '')!s:.300}"
    return Finding(task=task, verdict=Verdict.BROKEN, why=why)


def solution_of(task: Task) -> Callable[[], Expert] | None:
    """What comes with a generated task, or what the task itself says."""
    if (reference := reference_of(task)) is not None:
        return reference
    given: Any = task.meta.get(SOLUTION)
    if not isinstance(given, dict):
        return None
    said = cast("dict[str, Any]", given)
    steps = [shell(str(command)) for command in said.get("commands", [])]
    steps += [Step(name=one["tool"], arguments=one["arguments"]) for one in said.get("calls", [])]
    return solved(str(said.get("answer", "Done.")), *steps)


async def done_by(task: Task, model: Model, folder: Path, *, sandbox: str = "auto") -> Outcome:
    """One attempt below `folder`, as an evaluation makes it.

    Raises: as `attempted`.
    """
    run_id = new_run_id()
    agent: Agent[Any] = Agent(
        model, store=RunStore(folder / "runs"), policy="default", sandbox=sandbox
    )
    place = Place(
        contestant=model.name,
        check=Check(task=task, verifier=verifier_for(task)),
        attempt=0,
        workspace=folder / "work" / run_id,
        run_id=run_id,
        group={},
        tags=(),
    )
    return await attempted(agent, place, seed=None, scaling=ONCE, within=None)


async def untouched(task: Task, answer: str, folder: Path) -> Reward:
    """What it is worth to answer without having looked. Raises: GradingFailed, OSError."""
    workspace = folder / new_run_id()
    workspace.mkdir()
    make_workspace(workspace, task.workspace, task.files)
    check = Check(task=task, verifier=verifier_for(task))
    return await check.grade(
        said_at_once(task, answer, workspace), protected_state(task, workspace)
    )


def said_at_once(task: Task, answer: str, workspace: Path) -> Attempt:
    """An attempt of one reply."""
    message = Message(role=Role.ASSISTANT, content=answer)
    said = ModelReplied(step=1, reply=Reply(message=message, finish=Finish.STOP), seconds=0.0)
    asked = Asked(prompt=task.prompt)
    return Attempt(task=asked, answer=answer, events=(said,), workspace=workspace)
