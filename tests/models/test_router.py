"""Another model is asked when one cannot answer, or keeps giving replies of no use."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wardian.agent import Agent
from wardian.errors import ContextOverflow, ModelRefused, ModelUnavailable
from wardian.models.replies import Answer
from wardian.models.router import RoutedModel
from wardian.models.scripted import ScriptedModel
from wardian.runs import RunStore
from wardian.types import Delta, Finish, Message, Reply, Request, Role

Ask = Callable[..., tuple[list[Delta], Reply]]
GONE = ModelUnavailable("The server is away.", "Start it.")


def models(*scripts: list[Answer]) -> tuple[RoutedModel, list[ScriptedModel]]:
    made = [ScriptedModel(script, name=f"m{i}") for i, script in enumerate(scripts)]
    return RoutedModel(made), made


@pytest.mark.parametrize(
    "error",
    [GONE, ModelRefused("No credit left.", status=402), ContextOverflow("It is too long.")],
    ids=["away", "refused", "too long"],
)
def test_the_next_is_asked_where_one_cannot_answer(error: Exception, ask: Ask) -> None:
    routed, _ = models([error], ["42"])
    _, reply = ask(routed)
    assert (reply.message.content, reply.model) == ("42", "m1")
    assert reply.route == (f"m0: {str(error).split('. ')[0].rstrip('.')}",)


def test_where_the_last_cannot_answer_either_its_error_is_raised(ask: Ask) -> None:
    routed, _ = models([GONE], [ModelRefused("No credit left.", status=402)])
    with pytest.raises(ModelRefused, match="credit"):
        ask(routed)


def test_the_one_that_answered_stays_for_the_conversation(
    ask: Ask, request_of: Callable[..., Request]
) -> None:
    routed, (first, second) = models([GONE, "back"], ["41", "42"])
    request = replace(request_of(), conversation="c")
    assert ask(routed, request)[1].message.content == "41"
    assert ask(routed, request)[1].message.content == "42"
    assert ask(routed, replace(request, conversation="d"))[1].message.content == "back"
    assert (len(first.requests), len(second.requests)) == (2, 2)


def reply(finish: Finish, content: str = "") -> Reply:
    return Reply(message=Message(role=Role.ASSISTANT, content=content), finish=finish)


@pytest.mark.parametrize(
    "useless",
    [
        reply(Finish.LENGTH, "so long"),
        reply(Finish.CUT, "broken"),
        reply(Finish.STOP),
        [("python", "{not json")],
        [("python", "[1]")],
        [("no such tool", {})],
    ],
    ids=["length", "cut", "empty", "no json", "no object", "no tool"],
)
def test_after_two_useless_replies_a_stronger_one_is_asked(
    useless: Answer, ask: Ask, request_of: Callable[..., Request]
) -> None:
    routed, _ = models([useless, useless, "never asked"], ["42"])
    request = replace(request_of(), conversation="c")
    for _ in range(2):
        assert ask(routed, request)[1].route == ()
    _, last = ask(routed, request)
    assert last.message.content == "42"
    assert "m0: 2 replies of no use" in last.route[0]


def test_a_good_model_is_never_left(ask: Ask, request_of: Callable[..., Request]) -> None:
    routed, (_, second) = models([[("python", {"code": "1"})], "one", "two", "three"], ["42"])
    request = replace(request_of(), conversation="c")
    for _ in range(4):
        ask(routed, request)
    assert second.requests == []


def test_a_route_is_local_only_if_all_of_it_is() -> None:
    routed, _ = models(["1"], ["2"])
    assert routed.is_local
    assert [one["name"] for one in routed.identity["route"]] == ["m0", "m1"]


def test_the_trajectory_says_who_answered_and_why(tmp_path: Path) -> None:
    routed, _ = models([GONE], ["42"])
    agent = Agent(routed, tools=[], store=RunStore(tmp_path), workspace=tmp_path)
    result = asyncio.run(agent.run("?"))
    assert result.path is not None
    lines = [json.loads(line) for line in result.path.read_text().splitlines()]
    (replied,) = [line["data"] for line in lines if line.get("kind") == "model_replied"]
    assert replied["reply"]["model"] == "m1"
    assert replied["reply"]["route"] == ["m0: The server is away"]
