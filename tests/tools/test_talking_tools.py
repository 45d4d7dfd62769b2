"""`todo` and `ask_user`: the plan a run keeps, and the person behind it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent, RunStore, ScriptedModel
from wardian.cli.plan import plan_lines
from wardian.cli.questions import chosen
from wardian.events import CallFinished
from wardian_tools import Question, ResultStatus, ToolResult
from wardian_tools.builtin.ask_user import NOBODY

PLAN = [{"text": "Look", "state": "done"}, {"text": "Mend"}]


def results(tmp_path: Path, script: list[Any], **options: Any) -> list[ToolResult]:
    store = RunStore(tmp_path / "runs")
    tools = ["todo", "ask_user"]
    agent: Agent[str] = Agent(
        ScriptedModel(script), tools=tools, workspace=tmp_path, store=store, **options
    )
    run = agent.run_sync("Do it.")
    events = store.load(run.run_id).events
    assert "sandbox_opened" not in [event.kind for event in events]
    return [event.result for event in events if isinstance(event, CallFinished)]


def test_a_plan_is_kept_in_the_events_and_shown_step_by_step(tmp_path: Path) -> None:
    (result,) = results(tmp_path, [[("todo", {"steps": PLAN})], "Done."])
    assert result.content == "The plan has 2 steps, 1 of them done."
    assert result.data["plan"] == [PLAN[0], {"text": "Mend", "state": "open"}]
    assert plan_lines(result) == ["[x] Look", "[ ] Mend"]


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([{"text": "x"}] * 51, ResultStatus.ERROR),
        ([{"text": "x" * 301}], ResultStatus.ERROR),
        ([{"text": "x", "state": "maybe"}], ResultStatus.MALFORMED),
        ([], ResultStatus.OK),
    ],
    ids=["many", "long", "state", "empty"],
)
def test_a_plan_is_bounded_and_its_states_are_known(
    steps: list[Any], status: ResultStatus, tmp_path: Path
) -> None:
    (result,) = results(tmp_path, [[("todo", {"steps": steps})], "Done."])
    assert result.status is status


def test_a_step_cannot_write_escape_codes_to_the_terminal() -> None:
    hostile = {"plan": [{"text": "\x1b[2J\u202egone\nnext", "state": "\x1b"}]}
    result = ToolResult(call_id="c", name="todo", status=ResultStatus.OK, content="", data=hostile)
    assert plan_lines(result) == ["[ ] \\x1b[2J\\u202egone next"]


def test_the_person_answers_and_the_model_gets_it(tmp_path: Path) -> None:
    asked: list[Question] = []

    async def answer(question: Question) -> str:
        asked.append(question)
        return "Blue."

    call = ("ask_user", {"question": "Which colour?", "choices": ["red", "blue"]})
    (result,) = results(tmp_path, [[call], "Done."], ask_user=answer)
    assert result.content == "Blue."
    assert asked == [Question(text="Which colour?", choices=("red", "blue"))]


def test_where_nobody_can_be_asked_the_model_is_told_so(tmp_path: Path) -> None:
    (result,) = results(tmp_path, [[("ask_user", {"question": "Which?"})], "Done."])
    assert (result.status, result.content) == (ResultStatus.ERROR, NOBODY)


def test_a_person_who_says_nothing_is_reported_as_such(tmp_path: Path) -> None:
    async def silent(question: Question) -> None:
        await asyncio.sleep(0)
        del question

    call = ("ask_user", {"question": "Which?"})
    (result,) = results(tmp_path, [[call], "Done."], ask_user=silent)
    assert result.content == "The user did not answer."


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2", "blue"),
        ("3", "3"),
        ("0", "0"),
        ("\u0662", "\u0662"),
        ("green", "green"),
        ("", None),
        (None, None),
        ("9" * 9999, "9" * 9999),
    ],
    ids=["number", "beyond", "zero", "other-digit", "own", "empty", "gone", "huge"],
)
def test_a_number_stands_for_a_choice_and_anything_else_for_itself(
    typed: str | None, meant: str | None
) -> None:
    assert chosen(typed, ("red", "blue")) == meant
