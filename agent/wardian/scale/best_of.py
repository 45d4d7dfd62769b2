"""Best-of-N: the attempt that a verifier, a judge or step rewards like best."""

import asyncio
from collections.abc import Sequence
from typing import Any

from wardian.agent import Agent
from wardian.budget import Ledger
from wardian.errors import StorageError
from wardian.events import Recorded
from wardian.rewards.guard import graded_by
from wardian.rewards.types import GradingFailed, Verifier
from wardian.scale.attempts import TEMPERATURES, Candidate, attempts
from wardian.scale.comparing import note_rewards, tell
from wardian.scale.vote import Chosen
from wardian.types import Task


async def best_of(
    agent: Agent[Any],
    task: str | Task,
    samples: int,
    verifier: Verifier,
    *,
    parallel: int = 4,
    temperatures: Sequence[float] = TEMPERATURES,
    seed: int | None = None,
    notes: bool = True,
    within: Ledger | None = None,
) -> Chosen:
    """The attempt with the highest reward, of equal ones the first; its changes are made.

    With `notes` each run's log is told its reward; who grades them anew leaves it.
    Raises: as `attempts` and `Group.adopt`; GradingFailed when no attempt could be graded.
    """
    by = f"best of, by {verifier.name}"
    async with attempts(
        agent,
        task,
        samples,
        parallel=parallel,
        temperatures=temperatures,
        seed=seed,
        select=by,
        within=within,
    ) as group:
        ended = group.finished()
        await asyncio.gather(*(grade(agent, one, verifier) for one in ended))
        graded = [one for one in ended if one.reward]
        if ended and not graded:
            kept = "What they came to is kept with their runs." if agent.store else ""
            raise GradingFailed(f"No attempt could be graded: {ended[0].error}", kept)
        ranked = sorted(graded, key=worth, reverse=True)
        if ranked:
            group.adopt(ranked[0])
            worths = {one.index: worth(one) for one in ranked}
            await tell(agent, group, ranked[0], by, worths)
            if notes:
                await note_rewards(agent, ranked)
        support = {str(one.answer): 1 for one in ranked}
        return Chosen(group=group, winner=ranked[0] if ranked else None, support=support)


async def grade(agent: Agent[Any], candidate: Candidate, verifier: Verifier) -> None:
    """Give a candidate its reward, or say why it has none."""
    try:
        attempt = candidate.attempt(events_of(agent, candidate))
        candidate.reward = await graded_by(verifier, attempt)
    except GradingFailed as problem:
        candidate.error = str(problem)


def events_of(agent: Agent[Any], candidate: Candidate) -> Sequence[Recorded]:
    """Of its run; none where runs are not kept."""
    if not agent.store or candidate.result is None:
        return ()
    try:
        return agent.store.load(candidate.result.run_id).events
    except StorageError:
        return ()


def worth(candidate: Candidate) -> float:
    assert candidate.reward is not None
    return candidate.reward.value
