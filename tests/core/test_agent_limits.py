"""Where a run ends: its budgets, and questions that nobody answers."""

import asyncio
from pathlib import Path

import pytest
from tests.core.conftest import Box, raw_calls

from wardian import Budgets, FunctionModel, tool
from wardian.errors import ContextOverflow, ExitCode
from wardian.events import (
    CallDecided,
)
from wardian.types import (
    Reply,
    Request,
    Stop,
    Usage,
)
from wardian_policies.types import Allow, Ask
from wardian_tools import ToolCall
from wardian_tools.types import Effect, ResultStatus

LIMITS = {
    Stop.STEPS: Budgets(steps=3),
    Stop.TOOL_CALLS: Budgets(tool_calls=3),
    Stop.TOKENS: Budgets(tokens=30),
    Stop.COST: Budgets(cost_usd=0.03),
}


@pytest.mark.parametrize("stop", LIMITS)
def test_each_budget_ends_the_run_where_it_is_used_up(box: Box, stop: Stop) -> None:
    def answer(request: Request) -> Reply:
        reply = raw_calls(("python", '{"code": "1"}'), ids=f"c{len(request.messages)}")
        usage = Usage(prompt_tokens=8, completion_tokens=2, cost_usd=0.01)
        return Reply(message=reply.message, finish=reply.finish, usage=usage)

    run = box.run([], model=FunctionModel(answer), budgets=LIMITS[stop])
    assert (run.stop, run.steps, run.exit_code) == (stop, 3, ExitCode.LIMIT)
    assert "limit" in run.error


def test_a_conversation_beyond_the_models_window_ends_the_run_at_a_limit(box: Box) -> None:
    def answer(request: Request) -> Reply:
        if len(request.messages) > 3:
            raise ContextOverflow("The prompt has 9 tokens and the window 8.", "Shorten the task.")
        return raw_calls(("python", '{"code": "print(1)"}'))

    run = box.run([], model=FunctionModel(answer))
    assert (run.stop, run.steps, run.exit_code) == (Stop.CONTEXT, 1, ExitCode.LIMIT)
    assert run.error == "The prompt has 9 tokens and the window 8. Shorten the task."
    assert box.results(run)[0].status is ResultStatus.OK
    assert box.store.load(run.run_id).finished


def test_calls_beyond_the_budget_of_one_batch_are_not_run(box: Box) -> None:
    run = box.run([[("python", {"code": "1"})] * 5], budgets=Budgets(tool_calls=2))
    statuses = [r.status for r in box.results(run)]
    assert statuses == [ResultStatus.OK] * 2 + [ResultStatus.DISCARDED] * 3
    assert run.stop is Stop.TOOL_CALLS


def test_the_time_limit_ends_a_hanging_tool(box: Box) -> None:
    @tool(effects={Effect.WRITES})
    async def hang() -> str:
        """Never come to an end."""
        await asyncio.Event().wait()
        return ""

    run = box.run([[("hang", {})]], tools=[hang], budgets=Budgets(wall_seconds=3))
    assert (run.stop, run.exit_code) == (Stop.TIME, ExitCode.LIMIT)
    assert box.store.load(run.run_id).uncertain[0].name == "hang"


ASKING = '[tools]\ndefault = "allow"\nask = ["shell"]\n'


def test_without_anybody_to_ask_the_run_ends_before_the_call(box: Box, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(ASKING)
    run = box.run([[("shell", {"command": "touch seen"})]], policy=tmp_path / "p.toml")
    assert (run.stop, run.exit_code) == (Stop.APPROVAL, ExitCode.APPROVAL)
    assert "shell" in run.error
    assert not (box.workspace / "seen").exists()


@pytest.mark.parametrize("answer", [True, False])
def test_a_persons_answer_decides(box: Box, tmp_path: Path, answer: bool) -> None:
    (tmp_path / "p.toml").write_text(ASKING)
    asked: list[str] = []

    async def approve(_: Ask, call: ToolCall) -> bool:
        asked.append(call.name)
        return answer

    run = box.run(
        [[("shell", {"command": "touch seen"})], "Done."],
        policy=tmp_path / "p.toml",
        approve=approve,
    )
    assert asked == ["shell"]
    assert (box.workspace / "seen").exists() is answer
    decided = next(e for e in box.events(run) if isinstance(e, CallDecided))
    assert decided.answer == ("yes" if answer else "no")
    assert isinstance(decided.decision, Ask)
    assert isinstance(decided.decision.granted, Allow)
