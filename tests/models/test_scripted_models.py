"""ScriptedModel, FunctionModel, and the block on real models."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from wardian.errors import ModelUnavailable, RealModelBlocked
from wardian.models.block import block_real_models
from wardian.models.chat import ChatModel
from wardian.models.function import FunctionModel
from wardian.models.litellm_model import LitellmModel
from wardian.models.llama import LlamaModel
from wardian.models.scripted import ScriptedModel
from wardian.models.scripted_server import ScriptedServer, stream_text
from wardian.types import CallDelta, Delta, Finish, Message, Model, Reply, Request, Role, TextDelta

Ask = Callable[..., tuple[list[Delta], Reply]]


def test_a_script_is_answered_in_order_and_then_used_up(
    ask: Ask, request_of: Callable[..., Request]
) -> None:
    model = ScriptedModel([[("python", {"code": "1+1"})], "It is 2."])
    _, first = ask(model, request_of("add"))
    _, second = ask(model, request_of("so?"))
    assert first.finish is Finish.CALLS
    assert [(c.name, c.arguments_text) for c in first.message.calls] == [
        ("python", '{"code": "1+1"}')
    ]
    assert (second.finish, second.message.content) == (Finish.STOP, "It is 2.")
    assert [r.messages[0].content for r in model.requests] == ["add", "so?"]
    assert model.remaining == 0
    with pytest.raises(ModelUnavailable, match="holds 2 answers and was asked for number 3"):
        ask(model)


def test_a_scripted_reply_is_streamed_in_pieces_that_add_up(ask: Ask) -> None:
    model = ScriptedModel(["one two three", [("python", {"code": "print(1)"})]], chunk_chars=4)
    deltas, reply = ask(model)
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == reply.message.content
    assert len(deltas) == 4
    deltas, reply = ask(model)
    calls = [d for d in deltas if isinstance(d, CallDelta)]
    assert (calls[0].name, calls[0].id) == ("python", reply.message.calls[0].id)
    assert "".join(d.arguments_text for d in calls) == reply.message.calls[0].arguments_text


def test_a_script_can_raise_and_can_send_broken_arguments(ask: Ask) -> None:
    model = ScriptedModel([ModelUnavailable("gone."), [("python", '{"code": ')]])
    with pytest.raises(ModelUnavailable, match="gone"):
        ask(model)
    assert ask(model)[1].message.calls[0].arguments_text == '{"code": '


def test_a_whole_reply_is_passed_on_with_its_finish(ask: Ask) -> None:
    message = Message(role=Role.ASSISTANT, content="half", reasoning="hm")
    given = Reply(message=message, finish=Finish.LENGTH)
    deltas, reply = ask(ScriptedModel([given]))
    assert reply.finish is Finish.LENGTH
    assert [type(d).__name__ for d in deltas] == ["ReasoningDelta", "TextDelta"]


def test_an_answer_of_no_known_kind_is_refused_in_words(ask: Ask) -> None:
    with pytest.raises(TypeError, match="text, a Reply, an exception, or a list of calls"):
        ask(FunctionModel(lambda _: [("python",)]))  # type: ignore[list-item]


def test_a_function_answers_from_the_request_plain_or_awaited(
    ask: Ask, request_of: Callable[..., Request]
) -> None:
    def echo(request: Request) -> str:
        return request.messages[-1].content.upper()

    async def echo_later(request: Request) -> str:
        await asyncio.sleep(0)
        return echo(request)

    for function in (echo, echo_later):
        assert ask(FunctionModel(function), request_of("hey"))[1].message.content == "HEY"


@pytest.mark.parametrize(
    "model",
    [
        ChatModel("openai/m", endpoint="http://127.0.0.1:1/v1", model_id="m"),
        LitellmModel("anthropic/m"),
        LlamaModel(Path("/nowhere.gguf"), name="gguf:/nowhere.gguf"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_blocked_real_model_raises_before_it_does_anything(model: Model, ask: Ask) -> None:
    with block_real_models(), pytest.raises(RealModelBlocked, match="blocked"):
        ask(model)


def test_the_block_holds_in_other_threads_and_ends_with_its_context(ask: Ask) -> None:
    raised: list[BaseException] = []

    def other_thread(url: str) -> None:
        try:
            ask(ChatModel("m", endpoint=url, model_id="m"))
        except RealModelBlocked as e:
            raised.append(e)

    with ScriptedServer([stream_text("hi")]) as server:
        with block_real_models(), block_real_models():
            pass
        with block_real_models():
            thread = threading.Thread(target=other_thread, args=(server.base_url,))
            thread.start()
            thread.join()
            assert not server.received
            assert ask(ScriptedModel(["still"]))[1].message.content == "still"
        assert len(raised) == 1
        model = ChatModel("m", endpoint=server.base_url, model_id="m")
        assert ask(model)[1].message.content == "hi"
