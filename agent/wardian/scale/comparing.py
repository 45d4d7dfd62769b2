"""What a group's attempts were worth, told to their runs: rewards, and who was better than whom."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from wardian.agent import Agent
from wardian.events import Compared
from wardian.reruns.forking import annotate
from wardian.scale.attempts import Candidate, Group


async def tell(
    agent: Agent[Any], group: Group, winner: Candidate, by: str, worths: Mapping[int, float]
) -> None:
    """Append it to the run of each attempt that `worths` has, by its index in the group.

    Raises: StorageError.
    """
    compared = [one for one in group.candidates if one.result and one.index in worths]
    store = agent.store
    if not store or not winner.result or len(compared) < 2:
        return
    ids = tuple(one.result.run_id for one in compared if one.result)
    for one, run_id in zip(compared, ids, strict=True):
        event = Compared(
            group=group.id,
            by=by,
            winner=winner.result.run_id,
            members=ids,
            value=worths[one.index],
        )
        await asyncio.to_thread(annotate, store, run_id, event)


async def note_rewards(agent: Agent[Any], candidates: Iterable[Candidate]) -> None:
    """Append the reward of each that has one to its run, as what the whole run was worth.

    Raises: StorageError.
    """
    for one in candidates:
        if agent.store and one.result and one.reward:
            event = one.reward.event()
            await asyncio.to_thread(annotate, agent.store, one.result.run_id, event)
