"""Sub-agents end to end: links, budgets, parallel runs, failures."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.core.conftest import ASKS_ONCE, House, change, counting, helper, look

from wardian import Agent, Budgets, FunctionModel, ScriptedModel, SubAgent
from wardian.approval import Answer, Pending, Said
from wardian.budget import Amount
from wardian.documents import OwnShelf
from wardian.errors import ModelUnavailable
from wardian.events import CallFinished, ChildFinished
from wardian.limits import consumed
from wardian.skills import find_skills
from wardian.types import Request, Role, Stop
from wardian_policies import Policy
from wardian_policies.types import Ask
from wardian_tools import ToolCall
from wardian_tools.types import Question, ResultStatus


def test_a_sub_agent_does_its_task_and_its_answer_is_the_calls_result(house: House) -> None:
    model = ScriptedModel(["All quiet."])
    run = house.run(ASKS_ONCE, helper(model, instructions="You are a lookout."))
    (finished,) = house.events(run, CallFinished)
    assert (finished.result.status, finished.result.content) == (ResultStatus.OK, "All quiet.")
    system, asked = model.requests[0].messages
    assert system.content.endswith("You are a lookout.")
    assert asked.content == "Look around."


def test_its_trajectory_and_its_callers_name_each_other(house: House) -> None:
    run = house.run(ASKS_ONCE, helper(["All quiet."]))
    (started,) = house.store.load(run.run_id).children
    child = house.store.load(started.run_id)
    assert child.started
    assert child.started.parent == {
        "run_id": run.run_id,
        "step": 1,
        "call_id": started.call_id,
        "name": "helper",
        "depth": 1,
    }
    (ended,) = house.events(run, ChildFinished)
    assert (ended.run_id, ended.stop, ended.consumed["steps"]) == (started.run_id, "done", 1)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([ModelUnavailable("It went away.")], "helper broke down: It went away."),
        ([""] * 5, "helper did not reach an answer: 3 replies in a row could not be used."),
    ],
    ids=["model-gone", "no-usable-reply"],
)
def test_what_goes_wrong_in_it_is_a_bounded_result(
    script: list[Any], said: str, house: House
) -> None:
    run = house.run(ASKS_ONCE, helper(script))
    (finished,) = house.events(run, CallFinished)
    assert finished.result.status is ResultStatus.ERROR
    assert finished.result.content.startswith(said)
    assert len(finished.result.content) < 3_000
    assert run.answer == "Done."


def test_what_it_consumes_is_its_callers_too_and_the_trajectory_tells_it(house: House) -> None:
    run = house.run(
        ASKS_ONCE,
        helper(counting(30), tools=[look]),
        budgets=Budgets(tokens=100, steps=None),
    )
    assert (run.stop, run.error) == (Stop.TOKENS, "The limit of 100 tokens was reached.")
    (finished,) = house.events(run, CallFinished)
    assert "The limit of 100 tokens that this run shares was reached" in finished.result.content
    told = consumed(house.store.load(run.run_id).events)
    assert told == Amount(steps=5, tool_calls=5, tokens=120 + run.usage.total_tokens)


def test_its_own_budget_ends_it_and_not_its_caller(house: House) -> None:
    run = house.run(ASKS_ONCE, helper(counting(1), tools=[look], budgets=Budgets(steps=2)))
    (finished,) = house.events(run, CallFinished)
    assert "The limit of 2 steps was reached." in finished.result.content
    assert run.answer == "Done."


def meeting(parties: int) -> tuple[Callable[[], FunctionModel], list[int]]:
    """Models that answer only once so many of them are asked at a time."""
    inside: list[int] = [0, 0]
    together = asyncio.Event()

    async def answer(request: Request) -> str:
        del request
        inside[0] += 1
        inside[1] = max(inside)
        if inside[0] == parties:
            together.set()
        await together.wait()
        return "Met."

    return (lambda: FunctionModel(answer)), inside


@pytest.mark.parametrize("more", [{}, {"tools": [change], "parallel": True}], ids=["reads", "says"])
def test_calls_of_one_reply_run_side_by_side(more: dict[str, Any], house: House) -> None:
    model, inside = meeting(3)
    three = [("helper", {"task": str(n)}) for n in range(3)]
    run = house.run([three, "Done."], helper(model(), **more))
    assert (run.stop, inside[1]) == (Stop.DONE, 3)
    assert len(house.store.load(run.run_id).children) == 3


def test_no_more_run_at_a_time_than_the_policy_lets(house: House) -> None:
    inside: list[int] = [0, 0]

    async def answer(request: Request) -> str:
        del request
        inside[0] += 1
        inside[1] = max(inside)
        await asyncio.sleep(0)
        inside[0] -= 1
        return "x"

    policy = house.policy('extends = "default"\n[agents]\nparallel = 2\n')
    six = [("helper", {"task": str(n)}) for n in range(6)]
    assert house.run([six, "Done."], helper(FunctionModel(answer)), policy=policy).ok
    assert inside[1] <= 2


def test_a_caller_that_is_cancelled_cancels_its_sub_agents_and_both_are_recorded(
    house: House,
) -> None:
    began = asyncio.Event()

    async def never(request: Request) -> str:
        del request
        began.set()
        await asyncio.Event().wait()
        return ""

    async def run() -> None:
        agent: Agent[str] = Agent(
            ScriptedModel(ASKS_ONCE),
            workspace=house.workspace,
            store=house.store,
            subagents=[helper(FunctionModel(never))],
        )
        going = asyncio.create_task(agent.run("Do it."))
        await began.wait()
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)

    asyncio.run(run())
    ends = [house.store.load(run_id).finished for run_id in house.store.ids()]
    assert [end.stop for end in ends if end] == [Stop.CANCELLED, Stop.CANCELLED]


def test_approvals_of_parallel_sub_agents_are_asked_one_at_a_time(house: House) -> None:
    asking: list[int] = [0, 0]

    async def approve(ask: Ask, call: ToolCall) -> bool:
        del ask, call
        asking[0] += 1
        asking[1] = max(asking)
        await asyncio.sleep(0)
        asking[0] -= 1
        return True

    def answer(request: Request) -> Any:
        return "x" if request.messages[-1].role is Role.TOOL else [("change", {})]

    policy = house.policy('extends = "default"\n[tools]\nask = ["change"]\n')
    three = [("helper", {"task": str(n)}) for n in range(3)]
    run = house.run(
        [three, "Done."],
        helper(FunctionModel(answer), tools=[change], parallel=True),
        policy=policy,
        approve=approve,
    )
    assert (run.stop, asking[1]) == (Stop.DONE, 1)


def test_who_is_asked_is_told_which_sub_agent_wants_the_call(house: House) -> None:
    asked: list[tuple[str, str]] = []

    class Person:
        async def __call__(self, ask: Ask, call: ToolCall) -> bool:
            raise AssertionError("it sees them together")

        async def several(self, pending: Sequence[Pending]) -> list[Answer]:
            asked.extend((one.call.name, one.by) for one in pending)
            return [Answer(said=Said.YES) for _ in pending]

    child = helper([[("write_file", {"path": "a", "content": "x"})], "Written."], tools=None)
    script: list[Any] = [[("write_file", {"path": "b", "content": "x"})], *ASKS_ONCE]
    house.run(script, child, policy="strict", approve=Person())
    assert asked == [("write_file", ""), ("helper", ""), ("write_file", "helper")]


@pytest.mark.parametrize("mode", ["mount", "copy"])
def test_it_sees_and_changes_the_workspace_its_caller_works_on(mode: str, house: House) -> None:
    script = [
        [("write_file", {"path": "a.txt", "content": "one"})],
        [("helper", {"task": "Look."})],
        [("read_file", {"path": "b.txt"})],
        "Done.",
    ]
    copying = [("shell", {"command": "cp a.txt b.txt"})]
    run = house.run(script, helper([copying, "Copied."], tools=None), workspace_mode=mode)
    results = [e.result for e in house.events(run, CallFinished)]
    assert [r.content for r in results][1:] == ["Copied.", "one"]
    assert (house.workspace / "b.txt").exists() == (mode == "mount")


def test_last_is_the_run_a_person_asked_for(house: House) -> None:
    run = house.run(ASKS_ONCE, helper(["All quiet."]))
    child = house.child(run)
    assert house.store.ids()[0] == child
    assert house.store.find("last") == run.run_id
    assert {one.run_id: one.parent for one in house.store.list()} == {
        run.run_id: "",
        child: run.run_id,
    }


def test_what_a_sub_agent_consumed_counts_even_if_its_callers_end_was_lost(house: House) -> None:
    run = house.run(ASKS_ONCE, helper(counting(30), tools=[look], budgets=Budgets(steps=2)))
    whole = house.store.consumed(run.run_id)
    path = house.store.path(run.run_id)
    lines = path.read_bytes().split(b"\n")
    cut = next(n for n, line in enumerate(lines) if b'"child_finished"' in line)
    path.write_bytes(b"\n".join(lines[:cut]) + b"\n")
    lost = house.store.load(run.run_id)
    assert [one.call_id for one in lost.uncertain]
    assert consumed(lost.events).tokens < whole.tokens
    counted = house.store.consumed(run.run_id)
    assert (counted.steps, counted.tool_calls) == (3, 3)
    assert counted.tokens == consumed(lost.events).tokens + 60


def test_a_model_that_cannot_be_had_is_a_result_of_the_call(house: House) -> None:
    run = house.run(
        ASKS_ONCE, helper("gguf:/absent.gguf"), policy=house.policy('[tools]\ndefault = "allow"\n')
    )
    (finished,) = house.events(run, CallFinished)
    assert finished.result.content.startswith("helper broke down: ")
    assert run.answer == "Done."


def test_who_is_asked_a_question_is_told_which_sub_agent_asks(house: House, tmp_path: Path) -> None:
    policy = tmp_path / "deep.toml"
    policy.write_text('extends = "default"\n[agents]\ndepth = 2\n')
    questions: list[Question] = []

    async def answer(question: Question) -> str:
        questions.append(question)
        return "Blue."

    asks = ("ask_user", {"question": "Which colour?"})
    deeper = SubAgent(
        name="deeper", description="Asks too.", model=ScriptedModel([[asks], "Blue."])
    )
    calls = [asks, ("deeper", {"task": "Ask."})]
    below = SubAgent(
        name="helper",
        description="Asks.",
        model=ScriptedModel([calls, "Blue."]),
        subagents=(deeper,),
    )
    agent = Agent(
        ScriptedModel([[asks, ("helper", {"task": "Ask."})], "Done."]),
        tools=["ask_user"],
        policy=Policy.load(policy),
        subagents=[below],
        workspace=house.workspace,
        store=house.store,
        ask_user=answer,
    )
    agent.run_sync("Ask for the colour.")
    assert [question.by for question in questions] == ["", "helper", "deeper"]


def test_a_sub_agent_with_the_skill_tool_is_told_the_skills_and_one_without_is_not(
    house: House, tmp_path: Path
) -> None:
    folder = tmp_path / "skills" / "tidy"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text("---\nname: tidy\ndescription: Tidies up.\n---\nTidy.\n")
    skills, _ = find_skills(OwnShelf(tmp_path), "skills")
    everything, nothing = ScriptedModel(["Quiet."]), ScriptedModel(["Quiet."])
    agent = Agent(
        ScriptedModel([[("all", {"task": "Look."}), ("none", {"task": "Look."})], "Done."]),
        tools=[look],
        skills=skills,
        subagents=[
            SubAgent(name="all", description="Has all tools.", model=everything),
            SubAgent(name="none", description="Has one.", model=nothing, tools=["look"]),
        ],
        workspace=house.workspace,
        store=house.store,
    )
    agent.run_sync("Look around.")
    told, untold = everything.requests[0], nothing.requests[0]
    assert "skill" in {tool.name for tool in told.tools}
    assert "- tidy: Tidies up." in told.messages[0].content
    assert "skill" not in {tool.name for tool in untold.tools}
    assert "tidy" not in untold.messages[0].content
