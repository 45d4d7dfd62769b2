"""Attempts at generated tasks, in the real sandbox, graded as an evaluation grades them."""

import asyncio
from pathlib import Path

from wardian import Agent
from wardian.evals.attempting import ONCE, Place, attempted
from wardian.evals.contents import make_workspace
from wardian.evals.grading import Check, protected_state, verifier_for
from wardian.evals.outcomes import Outcome
from wardian.evals.tasks import Task
from wardian.events import ModelReplied
from wardian.rewards.types import Attempt, Reward
from wardian.runs import RunStore
from wardian.runs.ids import new_run_id
from wardian.types import Finish, Message, Model, Reply, Role
from wardian.types import Task as Asked


def attempt(task: Task, model: Model, folder: Path) -> Outcome:
    """One attempt in a folder of its own."""
    run_id = new_run_id()
    agent = Agent(model, store=RunStore(folder / "runs"), policy="default")
    place = Place(
        contestant="one",
        check=Check(task=task, verifier=verifier_for(task)),
        attempt=0,
        workspace=folder / "work" / run_id,
        run_id=run_id,
        group={},
        tags=(),
    )
    return asyncio.run(attempted(agent, place, seed=None, scaling=ONCE, within=None))


def untouched(task: Task, answer: str, folder: Path) -> Reward:
    """What it is worth to answer without having looked."""
    workspace = folder / new_run_id()
    workspace.mkdir()
    make_workspace(workspace, task.workspace, task.files)
    message = Message(role=Role.ASSISTANT, content=answer)
    said = ModelReplied(step=1, reply=Reply(message=message, finish=Finish.STOP), seconds=0.0)
    given = Attempt(
        task=Asked(prompt=task.prompt), answer=answer, events=(said,), workspace=workspace
    )
    check = Check(task=task, verifier=verifier_for(task))
    return asyncio.run(check.grade(given, protected_state(task, workspace)))
