"""What a group's attempts were worth is told to their runs, and becomes pairs of replies."""

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.scale.conftest import MakeAgent

from wardian import tool
from wardian.events import Compared
from wardian.models.replies import Answer
from wardian.rewards.texts import NumberMatch
from wardian.runs import RunStore
from wardian.runs.preferences import Sign, comparison, preferences
from wardian.scale.best_of import best_of
from wardian.scale.vote import vote
from wardian.types import Request, Role
from wardian_tools.types import Effect


def answering(*scripts: list[Answer]) -> Any:
    """Each attempt goes on by a script of its own."""
    turns = count()
    mine: dict[str, int] = {}

    def answer(request: Request) -> Answer:
        if request.conversation not in mine:
            mine[request.conversation] = next(turns)
        said = sum(message.role is Role.ASSISTANT for message in request.messages)
        return scripts[mine[request.conversation]][said]

    return answer


def pairs(folder: Path) -> list[tuple[str, str, int]]:
    """Chosen and rejected reply, and the step."""
    store = RunStore(folder / "runs")
    found = preferences(store.load(run_id) for run_id in store.ids())
    return sorted((p.chosen.reply.content, p.rejected.reply.content, p.chosen.step) for p in found)


def test_the_winner_of_a_vote_is_preferred_to_those_of_another_mind(
    make_agent: MakeAgent, tmp_path: Path
) -> None:
    agent = make_agent(answering(["4"], ["5"], ["4"]))
    asyncio.run(vote(agent, "2 + 2?", 3, parallel=1))
    assert pairs(tmp_path) in ([("4", "5", 1)], [])  # the third is not asked where two agree
    store = RunStore(tmp_path / "runs")
    told = [comparison(store.load(run_id)) for run_id in store.ids()]
    assert all(isinstance(one, Compared) and one.by == "vote" for one in told)


def test_the_best_attempt_is_preferred_to_one_worth_less_and_not_to_an_equal_one(
    make_agent: MakeAgent, tmp_path: Path
) -> None:
    agent = make_agent(answering(["It is 3."], ["It is 4."], ["4!"]))
    asyncio.run(best_of(agent, "2 + 2?", 3, NumberMatch(expected=4), parallel=1))
    assert pairs(tmp_path) == [("It is 4.", "It is 3.", 1)]
    store = RunStore(tmp_path / "runs")
    [pair] = preferences(store.load(run_id) for run_id in store.ids())
    assert pair.chosen.signs == (Sign.COMPARED,)
    assert pair.chosen.note == "best of, by number: 1"
    assert pair.group


@pytest.mark.parametrize("same", [True, False])
def test_the_pair_is_of_the_replies_in_which_they_part(
    make_agent: MakeAgent, tmp_path: Path, same: bool
) -> None:
    first: Answer = [("look", {"name": "a"})]
    other: Answer = first if same else [("look", {"name": "b"})]

    @tool(effects={Effect.READS})
    def look(name: str) -> str:
        """Look.

        Args:
            name: At what.
        """
        return f"{name} is there"

    agent = make_agent(answering([first, "It is 3."], [other, "It is 4."]), tools=[look])
    asyncio.run(best_of(agent, "2 + 2?", 2, NumberMatch(expected=4), parallel=1))
    store = RunStore(tmp_path / "runs")
    [pair] = preferences(store.load(run_id) for run_id in store.ids())
    assert pair.chosen.step == (2 if same else 1)
    assert pair.chosen.prompt == pair.rejected.prompt or same
