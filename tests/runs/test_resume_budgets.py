"""What a run took counts for good: over interruptions, and with what its sub-agents took."""

from typing import Any

import pytest
from tests.runs.conftest import House

from wardian import Agent, Budgets, ScriptedModel, SubAgent, tool
from wardian.beginning import Settled
from wardian.events import Settlement
from wardian.models.replies import Answer
from wardian.types import Stop
from wardian_tools import Effect

ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


@tool(effects=[Effect.READS])
def look(name: str) -> str:
    """Look.

    Args:
        name: At what.
    """
    ran.append(f"look {name}")
    return f"{name} is there"


def test_limits_count_from_the_runs_beginning(house: House) -> None:
    calls: list[Answer] = [[("look", {"name": str(i)})] for i in range(9)]
    run = house.run(calls, tools=[look], budgets=Budgets(steps=3))
    assert (run.stop, run.steps) == (Stop.STEPS, 3)
    more = house.agent([*calls[:5], "Done."], tools=[look], budgets=Budgets(steps=5))
    again = house.resume(more)
    assert (again.stop, again.steps) == (Stop.STEPS, 5)
    last = house.resume(house.agent([*calls[:5], "Done."], tools=[look], budgets=Budgets(steps=6)))
    assert (last.stop, last.answer) == (Stop.DONE, "Done.")
    assert ran == [f"look {i}" for i in range(5)]
    assert house.load().consumed.steps == 6


def test_the_time_of_all_its_parts_adds_up(house: House) -> None:
    run = house.run([[("look", {"name": "a"})]], tools=[look], budgets=Budgets(steps=1))
    first = house.load().consumed.seconds
    house.resume(house.agent([[], "Done."], tools=[look], budgets=Budgets(steps=2)), run.run_id)
    last = house.load().records[-1].mono
    assert house.load().consumed.seconds == pytest.approx(first + last)


def test_what_a_sub_agent_took_counts_though_its_end_was_never_recorded(house: House) -> None:
    def agent() -> Agent[Any]:
        helper = SubAgent(
            name="helper", description="Helps.", model=ScriptedModel([[("look", {})], "seen"] * 2)
        )
        script: list[Answer] = [[("helper", {"task": "look"})], "Done."]
        return house.agent(script, tools=[look], subagents=[helper], budgets=Budgets(steps=5))

    run = agent().run_sync("Do it.")
    assert run.stop is Stop.DONE
    house.cut_before(run.run_id, "child_finished")
    again = Settled(settlement=Settlement.AGAIN)
    settled = {e.call_id: again for e in house.load(run.run_id).uncertain}
    resumed = house.resume(agent(), run.run_id, settled)
    assert resumed.stop is Stop.STEPS
    assert house.store.consumed(run.run_id).steps == 5
