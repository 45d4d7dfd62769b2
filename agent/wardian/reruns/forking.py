"""Other runs that restart from a step of a stored one, each in a workspace of its own.

A fork asks step K anew, after the messages of the steps before it and with the files as they then
were. Its own trajectory holds what it did itself; the header links it with its siblings, and the
run it restarts from is told of them.
"""

import copy
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardian.agent import Agent
from wardian.beginning import Beginning, Branch
from wardian.budget import Ledger
from wardian.errors import ConfigurationError, RunInUse, StorageError
from wardian.events import (
    Forked,
    ModelAsked,
    Recorded,
    RunStarted,
    WorkspaceSaved,
)
from wardian.limits import consumed
from wardian.prompt import Conversation
from wardian.reruns.resuming import PLACE_NAME, Rerun, bound, lay_anew, sampled_as
from wardian.runs import RunLog, RunStore, new_run_id
from wardian.runs.states import States
from wardian.runs.trajectory import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """One sibling, ready to begin."""

    rerun: Rerun
    run_id: str
    place: Path | None
    """Its workspace; None for a copy that goes with it, where the run changed no file"""


async def fork(
    agent: Agent[Any], run: str, step: int, *, count: int = 1, seed: int | None = None
) -> list[Fork]:
    """`count` siblings that restart from `step`, with seeds `seed`, `seed + 1`, ….

    Without a seed, one fork keeps the run's own and several count on from it. They are independent:
    perform them in any order, and `link` those that began.
    Raises: RunNotFound, StorageError, PolicyError; ConfigurationError where there is no such step.
    """
    store = agent.store
    assert store
    trajectory = store.load(run)
    started, events = trajectory.started, before_step(trajectory, step)
    assert started is not None
    agent = bound(agent, started)
    group = new_run_id()
    recorded = started.settings.get("sampling", {}).get("seed")
    first = seed if seed is not None else recorded if count == 1 else (recorded or 0) + 1
    return [
        _sibling(
            agent=sampled_as(agent, started, seed=None if first is None else first + index),
            store=store,
            trajectory=trajectory,
            events=events,
            link={"run_id": trajectory.run_id, "step": step, "group": group, "index": index},
        )
        for index in range(count)
    ]


def before_step(trajectory: Trajectory, step: int) -> list[Recorded]:
    """The events of the steps before it. Raises: ConfigurationError."""
    events = trajectory.events
    asked = {e.step: i for i, e in reversed([*enumerate(events)]) if isinstance(e, ModelAsked)}
    if trajectory.started is None or step not in asked:
        steps = f"Name one from {min(asked)} to {max(asked)}; " if asked else ""
        raise ConfigurationError(
            f"Run {trajectory.run_id} has no step {step} to restart from.",
            f"{steps}`agent runs show {trajectory.run_id}` shows them.",
        )
    return list(events[: asked[step]])


def link(store: RunStore, forks: list[Fork]) -> None:
    """Tell the run they restart from. One that is in use stays as it is: theirs say it too.

    Raises: StorageError when it cannot be written.
    """
    branches = [fork.rerun.beginning.branch for fork in forks]
    links = [branch.fork for branch in branches if branch]
    if links:
        ids = tuple(fork.run_id for fork in forks)
        event = Forked(step=links[0]["step"], group=links[0]["group"], run_ids=ids)
        with suppress(RunInUse):
            annotate(store, links[0]["run_id"], event)


def annotate(store: RunStore, run_id: str, event: Recorded) -> None:
    """Append what the user did with a run. Raises: StorageError."""
    log = RunLog.reopen(store.root / run_id)
    try:
        log.note(event)
    finally:
        log.close()


def _sibling(
    *,
    agent: Agent[Any],
    store: RunStore,
    trajectory: Trajectory,
    events: list[Recorded],
    link: dict[str, Any],
) -> Fork:
    started = trajectory.started
    assert started is not None
    run_id, state = new_run_id(), _state_at(trajectory, link["step"])
    place = None if state is None else store.root / run_id / PLACE_NAME
    if place is None:
        agent = copy.copy(agent)
        agent.workspace_mode = "copy"

    def lay(beginning: Beginning) -> Beginning:
        if place is not None and state is not None:
            missing = _lay(trajectory, state, place, agent.workspace)
            link.update({"not_restored": missing} if missing else {})
        return beginning

    beginning = Beginning(
        task=started.task,
        ledger=Ledger(agent.policy.budgets, spent=consumed(events)),
        run_id=run_id,
        earlier=started.earlier,
        branch=Branch(fork=link, prefix=_prefix(events), steps=link["step"] - 1, flow=started.flow),
        place=place,
        prepare=lay,
    )
    return Fork(rerun=Rerun(agent=agent, beginning=beginning), run_id=run_id, place=place)


def _lay(trajectory: Trajectory, number: int, place: Path, workspace: Path) -> list[str]:
    """Lay the state, its kept contents linked; gives what was not to be had.

    Raises: StorageError.
    """
    theirs = States(trajectory.path.parent)
    state = theirs.state(number)
    missing = lay_anew(theirs, place, number, workspace)
    try:
        States(place.parent).adopt(theirs, state, place)
    except OSError as error:
        raise StorageError(
            f"The workspace cannot be restored in {place}: {error.strerror}.", "Free some space."
        ) from error
    return missing


def _prefix(events: list[Recorded]) -> tuple[Any, ...]:
    """The messages after the task."""
    conversation = Conversation()
    begun = 0
    for event in events:
        conversation.apply(event)
        if isinstance(event, RunStarted):
            begun = len(conversation.messages) - len(event.prefix)
    return conversation.closed()[begun:]


def _state_at(trajectory: Trajectory, step: int) -> int | None:
    """The workspace's state when that step was asked; None if no call could change it."""
    state: int | None = None
    for event in trajectory.events:
        if isinstance(event, WorkspaceSaved):
            if event.step >= step and state is not None:
                return state
            state = event.state
            if event.step >= step:
                return state
    return state
