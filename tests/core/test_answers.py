"""Answers of a type or schema, and what is kept of an answer that was not finished."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent, Budgets, ScriptedModel, Task
from wardian.errors import ConfigurationError
from wardian.types import Delta, Reply, Request, Stop, TextDelta


@dataclass(frozen=True)
class Count:
    lines: int


def agent(script: list[Any], path: Path, **options: Any) -> Agent[Any]:
    return Agent(ScriptedModel(script), tools=[], workspace=path, store=False, **options)


@pytest.mark.parametrize(
    "text", ['{"lines": 3}', '```json\n{"lines": 3}\n```', ' {"lines": "3"}\n'], ids=range(3)
)
def test_an_answer_of_a_dataclass_is_its_value(text: str, tmp_path: Path) -> None:
    run = agent([text], tmp_path, output_type=Count).run_sync("Count.")
    assert run.value == Count(lines=3)


def test_an_answer_that_does_not_fit_is_sent_back_with_what_is_wrong(tmp_path: Path) -> None:
    model = ScriptedModel(['{"lines": "many"}', '{"lines": 3}'])
    one: Agent[Count] = Agent(model, tools=[], workspace=tmp_path, store=False, output_type=Count)
    assert one.run_sync("Count.").value == Count(lines=3)
    assert "valid integer" in model.requests[1].messages[-1].content


def test_a_task_may_bring_its_own_schema(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    one = agent(["none", '{"n": 1}', "Free text."], tmp_path)

    async def both() -> tuple[Any, Any]:
        typed = await one.run(Task(prompt="x", output_schema=schema))
        free = await one.run("x")
        return typed.value, free.value

    assert asyncio.run(both()) == ({"n": 1}, "Free text.")


def test_a_schema_that_is_none_is_refused_before_the_model_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a JSON schema"):
        agent(["x"], tmp_path).run_sync(Task(prompt="x", output_schema={"type": "objekt"}))


@pytest.mark.parametrize(
    "schema", [{"$ref": "http://127.0.0.1:9/none"}, {"$ref": "#"}], ids=range(2)
)
def test_a_schema_that_refers_to_nothing_is_refused_before_the_model_is_asked(
    tmp_path: Path, schema: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="a JSON schema that can be used: "):
        agent(["x"], tmp_path).run_sync(Task(prompt="x", output_schema=schema))


def test_three_answers_that_do_not_fit_end_the_run_and_it_says_why(tmp_path: Path) -> None:
    run = agent(["one", "two", "three", '{"lines": 3}'], tmp_path, output_type=Count).run_sync("x")
    assert run.stop is Stop.MALFORMED
    assert "3 replies in a row" in run.error
    assert "must be one JSON value of the given schema" in run.error


class Stalling(ScriptedModel):
    """Begins to answer and never ends."""

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        del request
        yield TextDelta(text="It has three ")
        await asyncio.Event().wait()


def test_what_was_written_when_the_time_was_up_is_kept(tmp_path: Path) -> None:
    one: Agent[str] = Agent(
        Stalling([]),
        tools=[],
        workspace=tmp_path,
        store=False,
        budgets=Budgets(wall_seconds=2.0),
    )
    run = one.run_sync("Count.")
    assert (run.stop, run.answer) == (Stop.TIME, "It has three ")
    assert run.error == "The limit of 2 seconds was reached."
