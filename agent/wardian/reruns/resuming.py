"""A stored run goes on at the step where it stopped.

Covers: what it had finished is not asked or run again; budgets go on from what was consumed; the
policy is at most what it began with; a private copy of the workspace is laid anew from its last
state, a mounted folder is compared with it.
Does not cover: what lived in the box, such as the interpreter's variables; the model is told.
"""

import copy
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wardian.agent import Agent
from wardian.beginning import Beginning, Resumption, Settled, settle
from wardian.budget import Ledger
from wardian.errors import StorageError
from wardian.events import Event, RunStarted
from wardian.results import RunResult
from wardian.runs.resume import Continuation
from wardian.runs.state import remove_tree, take_along
from wardian.runs.states import States
from wardian.runs.trajectory import Trajectory
from wardian.types import Startable
from wardian_policies.stored import stored_policy
from wardian_sandbox.protecting import clear_left

PLACE_NAME = "workspace"
"""A private workspace, in the run's folder"""
NAMED_FILES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """A run that can begin."""

    agent: Agent[Any]
    beginning: Beginning

    async def perform(self) -> RunResult[Any]:
        """Raises: as `Agent.run`."""
        return await self.agent.perform(self.beginning)

    def follow(self) -> AsyncGenerator[Event, None]:
        """Raises: as `Agent.stream`."""
        return self.agent.follow(self.beginning)


async def resume(
    agent: Agent[Any], run: str, settled: Mapping[str, Settled] | None = None
) -> Rerun:
    """The run as it will go on. `settled` says what becomes of calls that may have taken effect.

    Raises: RunNotFound, StorageError, ModelError; ConfigurationError when nothing is left to do;
    ApprovalNeeded for an uncertain call that is not in `settled`; PolicyError when the recorded
    policy cannot be read.
    """
    assert agent.store
    trajectory = agent.store.load(run)
    spent = agent.store.consumed(trajectory.run_id)
    continuation = Continuation.of(trajectory)
    settled = settle(continuation.uncertain, dict(settled or {}), trajectory.run_id)
    agent = bound(agent, continuation.started)
    if isinstance(agent.model, Startable):
        await agent.model.start()  # only then it is known which one it is
    resumption = Resumption(
        continuation=continuation,
        settled=settled,
        changed=tuple(other_model(agent, continuation.started)),
    )

    def look(beginning: Beginning) -> Beginning:
        place, sentences, differ = workspace_of(agent, trajectory, continuation)
        changed = (*resumption.changed, *sentences)
        seen = replace(resumption, changed=changed, files_differ=differ)
        return replace(beginning, resumption=seen, place=place)

    beginning = Beginning(
        task=continuation.started.task,
        ledger=Ledger(agent.policy.budgets, spent=spent),
        run_id=trajectory.run_id,
        resumption=resumption,
        prepare=look,
    )
    return Rerun(agent=agent, beginning=beginning)


def bound(agent: Agent[Any], started: RunStarted) -> Agent[Any]:
    """The agent, with no more rights than the stored run had. Raises: PolicyError."""
    budgets = agent.policy.budgets
    recorded = stored_policy(started.policy).with_budgets(budgets)
    if recorded.sha256 == agent.policy.sha256:
        return agent
    narrowed = copy.copy(agent)
    narrowed.policy = agent.policy.narrowed_by(recorded).with_budgets(budgets)
    return narrowed


def other_model(agent: Agent[Any], started: RunStarted) -> list[str]:
    """What to say of a model that is not the recorded one."""
    now = {"name": agent.model.name, "is_local": agent.model.is_local} | agent.model.identity
    keys = sorted(key for key in {*now, *started.model} if now.get(key) != started.model.get(key))
    if not keys:
        return []
    before = started.model.get("name")
    if now["name"] != before:
        return [f"The model is {now['name']}; the run began with {before}."]
    return [f"The model {before} is not what it was when the run began ({', '.join(keys)})."]


def workspace_of(
    agent: Agent[Any], trajectory: Trajectory, continuation: Continuation
) -> tuple[Path | None, list[str], bool]:
    """Where the run goes on; sentences on what differs there; whether files do.

    Raises: StorageError, SandboxError.
    """
    folder = trajectory.path.parent
    is_private = "place" in continuation.started.settings or agent.workspace_mode == "copy"
    if continuation.state is None:
        place = folder / PLACE_NAME
        return (place if place.is_dir() and is_private else None), [], False
    states = States(folder)
    state = states.state(min(continuation.state, states.count - 1))
    if is_private:
        lost = lay_anew(states, folder / PLACE_NAME, continuation.state, agent.workspace)
        sentences = [f"Not restored, because it was not kept: {named(lost)}."] if lost else []
        return folder / PLACE_NAME, sentences, bool(lost)
    if not agent.workspace.is_dir():
        return None, [], False  # said by the agent
    clear_left(agent.workspace, agent.policy.confinement.protected)
    differing = states.unlike(state, agent.workspace)
    if not differing:
        return None, [], False
    sentence = f"The workspace is not as the last finished step left it: {named(differing)}."
    if any(not one.started.repeatable for one in continuation.uncertain):
        sentence += " The call that was cut off may have done that."
    return None, [sentence], True


def lay_anew(states: States, place: Path, number: int, workspace: Path) -> list[str]:
    """Make a private folder what the workspace was in a state; gives what could not be had.

    What is not kept is taken from the user's workspace where it has not changed.
    Raises: StorageError.
    """
    state = states.state(number)
    try:
        remove_tree(place)
        place.mkdir(mode=0o700)
        lost = states.lay(state, place)
        return [path for path in lost if not take_along(workspace, place, path, state[path])]
    except OSError as error:
        raise StorageError(
            f"The workspace cannot be restored in {place}: {error.strerror}.", "Free some space."
        ) from error


def named(paths: list[str]) -> str:
    """The first few, and how many more."""
    more = f" and {len(paths) - NAMED_FILES} more" if len(paths) > NAMED_FILES else ""
    return ", ".join(paths[:NAMED_FILES]) + more


def sampled_as(agent: Agent[Any], started: RunStarted, **changes: Any) -> Agent[Any]:
    """The agent with the run's sampling, but for `changes` that are not None."""
    recorded = started.settings.get("sampling", {})
    chosen = recorded | {key: value for key, value in changes.items() if value is not None}
    again = copy.copy(agent)
    again.sampling = replace(agent.sampling, **chosen)
    return again
