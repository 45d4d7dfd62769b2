"""What a sub-agent may do: at most what its caller may, and no more than its own policy lets."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core.conftest import ASKS_ONCE, House, change, helper, look

from wardian import Policy, ScriptedModel, tool
from wardian.events import CallDecided, CallFinished
from wardian.types import Stop
from wardian_policies.types import Ask, Deny
from wardian_tools import UnknownTool
from wardian_tools.types import Effect, ResultStatus


def test_its_policy_is_its_callers_narrowed_by_its_own(house: House) -> None:
    theirs = house.policy('extends = "default"\n[tools]\ndeny = ["change"]\n')
    run = house.run(
        ASKS_ONCE,
        helper(
            [[("change", {})], "Could not."], tools=[change], policy=Policy.load("trusted-repo")
        ),
        policy=theirs,
    )
    (decided,) = house.events(house.child(run), CallDecided)
    assert isinstance(decided.decision, Deny)
    narrow = helper([[("change", {})], "Could not."], tools=[change], policy=theirs)
    run = house.run(ASKS_ONCE, narrow)
    (decided,) = house.events(house.child(run), CallDecided)
    assert isinstance(decided.decision, Deny)


def test_a_tool_it_names_must_be_one_of_its_callers(house: House) -> None:
    with pytest.raises(UnknownTool, match="python"):
        house.run(ASKS_ONCE, helper(["x"], tools=["python"]), tools=[change])


def test_it_may_do_what_its_tools_may_and_its_caller_is_asked_for_it(house: House) -> None:
    policy = house.policy('extends = "default"\n[tools]\nask = ["@writes"]\n')
    run = house.run(ASKS_ONCE, helper(["x"], tools=[change]), policy=policy)
    assert run.stop is Stop.APPROVAL
    assert house.run(ASKS_ONCE, helper(["x"]), policy=policy).stop is Stop.DONE


class Elsewhere(ScriptedModel):
    """A scripted model that says it is not on this machine."""

    @property
    def is_local(self) -> bool:
        return False


def test_to_send_a_task_off_the_machine_is_egress_when_the_caller_is_local(house: House) -> None:
    run = house.run(ASKS_ONCE, helper(Elsewhere(["x"])))
    (decided,) = house.events(run, CallDecided)
    assert isinstance(decided.decision, Ask)
    assert run.stop is Stop.APPROVAL


def test_deeper_than_the_policy_lets_there_are_no_sub_agents(house: House) -> None:
    deep = helper(["Deep."], name="deep")
    outer = helper([[("deep", {"task": "x"})], "Out."], subagents=(deep,))
    run = house.run(ASKS_ONCE, outer)
    (refused,) = house.events(house.child(run), CallFinished)
    assert refused.result.status is ResultStatus.MALFORMED
    policy = house.policy('extends = "default"\n[agents]\ndepth = 2\n')
    outer = replace(outer, model=ScriptedModel([[("deep", {"task": "x"})], "Out."]))
    run = house.run(ASKS_ONCE, outer, policy=policy)
    inner = house.store.load(house.child(run)).children
    assert [one.name for one in inner] == ["deep"]


@tool(effects={Effect.EGRESS})
def send(text: str) -> str:
    """Send a text."""
    return f"sent {text}"


@tool(effects={Effect.READS})
def read() -> str:
    """Read what is private and of others."""
    return "secret"


@pytest.mark.parametrize("reads", [True, False], ids=["tainted", "clean"])
def test_it_is_judged_by_what_its_caller_has_read(reads: bool, house: House) -> None:
    policy = house.policy('[tools]\ndefault = "allow"\n')
    first: list[Any] = [[("read", {})]] if reads else []
    run = house.run(
        [*first, *ASKS_ONCE],
        helper([[("send", {"text": "x"})], "Sent."], tools=[send]),
        tools=[read],
        policy=policy,
    )
    (decided,) = house.events(house.child(run), CallDecided)
    assert isinstance(decided.decision, Ask) == reads
    (sent,) = house.events(house.child(run), CallFinished)
    assert (sent.result.status is ResultStatus.DENIED) == reads


def test_what_it_has_read_is_held_against_its_caller(house: House) -> None:
    policy = house.policy('[tools]\ndefault = "allow"\n')
    run = house.run(
        [*ASKS_ONCE[:1], [("send", {"text": "x"})], "Done."],
        helper([[("read", {})], "It says …"], tools=[read]),
        tools=[send],
        policy=policy,
    )
    decided = house.events(run, CallDecided)[-1]
    assert isinstance(decided.decision, Ask)
    assert "helper" in decided.decision.question


def test_a_file_that_names_tools_its_caller_lacks_gets_those_there_are(house: House) -> None:
    model = ScriptedModel(["x"])
    one = helper(model, tools=["look", "python"], source="agents/helper.md")
    assert house.run(ASKS_ONCE, one, tools=[look]).ok
    assert [spec.name for spec in model.requests[0].tools] == ["look"]
