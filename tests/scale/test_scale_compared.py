"""What a group's attempts were worth is told to their runs, and becomes pairs of replies."""

import asyncio
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.scale.conftest import MakeAgent

from wardian import tool
from wardian.data import Choice, Goal, build
from wardian.data.rows import TextPairRow, TextRow
from wardian.events import Compared, Rewarded
from wardian.models.function import FunctionModel
from wardian.models.replies import Answer
from wardian.rewards.judge import Rubric, RubricJudge
from wardian.rewards.texts import NumberMatch
from wardian.runs import RunStore
from wardian.runs.preferences import Sign, comparison, preferences
from wardian.scale.best_of import best_of
from wardian.scale.refine import refine
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


def rewards(folder: Path) -> list[tuple[str, float]]:
    """Of each run, in the order in which they began."""
    store = RunStore(folder / "runs")
    return [
        (event.source, event.value)
        for run_id in sorted(store.ids())
        for event in store.load(run_id).events
        if isinstance(event, Rewarded)
    ]


def test_data_are_built_of_a_group_by_what_chose_in_it(
    make_agent: MakeAgent, tmp_path: Path
) -> None:
    agent = make_agent(answering(["It is 3."], ["It is 4."], ["It is 5."]))
    asyncio.run(best_of(agent, "2 + 2?", 3, NumberMatch(expected=4), parallel=1))
    assert rewards(tmp_path) == [("number", 0.0), ("number", 1.0), ("number", 0.0)]
    store = RunStore(tmp_path / "runs")
    made = build(store, store.ids(), Choice(goal=Goal.SFT), output=tmp_path / "sft.jsonl")
    (row,) = made.rows(TextRow)
    assert row.messages[-1]["content"] == "It is 4."
    made = build(store, store.ids(), Choice(goal=Goal.DPO), output=tmp_path / "dpo.jsonl")
    assert {row.chosen[-1]["content"] for row in made.rows(TextPairRow)} == {"It is 4."}


def test_a_vote_is_no_reward(make_agent: MakeAgent, tmp_path: Path) -> None:
    agent = make_agent(answering(["4"], ["5"], ["4"]))
    asyncio.run(vote(agent, "2 + 2?", 3, parallel=1))
    assert rewards(tmp_path) == []


def test_a_critic_s_marks_are_the_rewards_of_its_rounds(
    make_agent: MakeAgent, tmp_path: Path
) -> None:
    marks = iter([0, 1])

    def critic(_: Request) -> str:
        named = {"name": "kind", "met": next(marks), "why": "It is rude."}
        return json.dumps({"criteria": [named]})

    judge = RubricJudge(model=FunctionModel(critic), rubric=Rubric.parse("- kind: it is polite"))
    agent = make_agent(lambda r: "Hello!" if len(r.messages) > 2 else "Go away.")
    asyncio.run(refine(agent, "Greet me.", 2, judge))
    assert [value for _, value in rewards(tmp_path)] == [0.0, 1.0]
