"""ChatModel against a real server on loopback: what it sends, retries, and keeps."""

import asyncio
import gc
import json
from collections.abc import Callable
from contextlib import aclosing

import pytest

from wardian.errors import ConfigurationError, ModelUnavailable
from wardian.models.chat import ChatModel, Endpoint
from wardian.models.keys import ApiKey
from wardian.models.scripted_server import (
    Answer,
    Received,
    ScriptedServer,
    call_then_answer,
    refuse,
    stream,
    stream_calls,
    stream_text,
    whole,
)
from wardian.models.scripted_server import delta as chunk
from wardian.models.wire import Dialect
from wardian.types import (
    CallDelta,
    Delta,
    Finish,
    Message,
    Reply,
    Request,
    Role,
    Sampling,
    TextDelta,
    Usage,
)

Ask = Callable[..., tuple[list[Delta], Reply]]
MakeModel = Callable[..., ChatModel]


def test_text_is_streamed_and_then_told_whole(ask: Ask, chat_model: MakeModel) -> None:
    with ScriptedServer([stream_text("Hello there, all of you.")]) as server:
        model = chat_model(server, key="sk-test-key")
        deltas, reply = ask(model)
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == reply.message.content
    assert (reply.message.content, reply.finish) == ("Hello there, all of you.", Finish.STOP)
    assert reply.usage == Usage(prompt_tokens=10, completion_tokens=5)
    assert reply.model == "scripted"
    assert reply.seconds_to_first_token is not None
    (received,) = server.received
    assert received.path == "/v1/chat/completions"
    assert received.headers["authorization"] == "Bearer sk-test-key"
    assert received.json["model"] == "m"


def test_calls_are_streamed_in_pieces_and_then_told_whole(ask: Ask, chat_model: MakeModel) -> None:
    asked = [("python", {"code": "print('ü')"}), ("shell", {"command": "ls"})]
    with ScriptedServer([stream_calls(asked)]) as server:
        deltas, reply = ask(chat_model(server))
    assert reply.finish is Finish.CALLS
    assert [(c.name, json.loads(c.arguments_text)) for c in reply.message.calls] == asked
    for index, call in enumerate(reply.message.calls):
        pieces = [d for d in deltas if isinstance(d, CallDelta) and d.index == index]
        assert "".join(d.arguments_text for d in pieces) == call.arguments_text
        assert (pieces[0].id, pieces[0].name) == (call.id, call.name)


def test_one_connection_serves_all_steps_of_a_run(chat_model: MakeModel) -> None:
    async def steps() -> None:
        model = chat_model(server)
        messages = [Message(role=Role.USER, content="go")]
        for _ in range(6):
            async with aclosing(model.stream(Request(messages=tuple(messages)))) as parts:
                *_, reply = [part async for part in parts]
            assert isinstance(reply, Reply)
            messages.append(reply.message)
            messages += [
                Message(role=Role.TOOL, content="2", call_id=call.id)
                for call in reply.message.calls
            ]
        assert messages[-1].content == "done"
        await model.close()

    with ScriptedServer(call_then_answer(5, "python", {"code": "1+1"}, "done")) as server:
        asyncio.run(steps())
        assert len(server.received) == 6
        assert server.connections == 1


def test_nothing_caps_the_requests_in_flight(
    chat_model: MakeModel, request_of: Callable[..., Request]
) -> None:
    async def many(count: int) -> None:
        async with ScriptedServer(answer) as server:
            model = chat_model(server)

            async def one() -> None:
                async with aclosing(model.stream(request_of())) as parts:
                    async for _ in parts:
                        inside.add(asyncio.current_task())
                        if len(inside) == count:
                            everyone.set()
                        await everyone.wait()

            everyone, inside = asyncio.Event(), set[object]()
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                for _ in range(count):
                    group.create_task(one())
            await model.close()
            assert server.connections == count

    def answer(_: Received) -> Answer:
        return stream_text("hi")

    asyncio.run(many(150))


def test_a_model_left_open_is_closed_with_its_loop(
    chat_model: MakeModel, request_of: Callable[..., Request]
) -> None:
    async def forgetful() -> None:
        async with aclosing(model.stream(request_of())) as parts:
            _ = [part async for part in parts]

    with ScriptedServer([stream_text("a"), stream_text("b")]) as server:
        model = chat_model(server)
        asyncio.run(forgetful())
        asyncio.run(forgetful())  # the same model in a second loop
        gc.collect()  # an unclosed connection would be a ResourceWarning, which is an error
    assert len(server.received) == 2


def test_a_reader_who_leaves_early_leaves_no_connection_open(
    chat_model: MakeModel, request_of: Callable[..., Request]
) -> None:
    async def leave() -> None:
        async with ScriptedServer([Answer(parts=stall.parts, stall_after_bytes=500)]) as server:
            model = chat_model(server)
            async with aclosing(model.stream(request_of())) as parts:
                assert isinstance(await anext(parts), TextDelta)
            await model.close()
            task = asyncio.create_task(anext(chat_model(server).stream(request_of())))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    stall = stream_text("a longer text than five hundred bytes of stream can hold")
    asyncio.run(leave())
    gc.collect()


@pytest.mark.parametrize("failed", [408, 409, 429, 500, 502, 503, 529])
def test_a_failure_before_the_first_token_is_tried_again(
    failed: int, ask: Ask, chat_model: MakeModel, waits: list[float]
) -> None:
    with ScriptedServer([refuse(failed, "busy"), refuse(failed), stream_text("ok")]) as server:
        assert ask(chat_model(server))[1].message.content == "ok"
        assert len(server.received) == 3
    assert waits == [0.5, 1.0]


@pytest.mark.parametrize("failed", [400, 401, 403, 405, 422, 501])
def test_a_refusal_is_not_tried_again(
    failed: int, ask: Ask, chat_model: MakeModel, waits: list[float]
) -> None:
    with ScriptedServer([refuse(failed, "no")]) as server:
        with pytest.raises(Exception, match="no"):
            ask(chat_model(server))
        assert len(server.received) == 1
    assert waits == []


@pytest.mark.parametrize("cut", [0, 10, 40, 200])
def test_a_connection_that_breaks_before_the_first_token_is_tried_again(
    cut: int, ask: Ask, chat_model: MakeModel
) -> None:
    broken = Answer(parts=stream_text("lost").parts, cut_after_bytes=cut)
    with ScriptedServer([broken, stream_text("ok")]) as server:
        assert ask(chat_model(server))[1].message.content == "ok"


def test_the_number_of_attempts_is_bounded(ask: Ask, chat_model: MakeModel) -> None:
    with ScriptedServer(lambda _: refuse(503, "overloaded")) as server:
        with pytest.raises(ModelUnavailable, match=r"503 Service Unavailable.*overloaded"):
            ask(chat_model(server, attempts=3))
        assert len(server.received) == 3


def test_after_the_first_token_nothing_is_tried_again(ask: Ask, chat_model: MakeModel) -> None:
    text = stream_text("one two three four five six")
    broken = Answer(parts=text.parts, cut_after_bytes=len(text.encode()) - 300)
    with ScriptedServer([broken, stream_text("glued")]) as server:
        _, reply = ask(chat_model(server))
        assert len(server.received) == 1
    assert reply.finish is Finish.CUT
    assert "one two three four five six".startswith(reply.message.content) is True


def test_a_stalled_stream_is_cut_and_a_silent_server_is_an_error(
    ask: Ask, chat_model: MakeModel
) -> None:
    text = stream_text("one two three")
    begun = Answer(parts=text.parts, stall_after_bytes=600)
    silent = Answer(parts=text.parts, stall_after_bytes=0)
    with ScriptedServer([begun, silent]) as server:
        assert ask(chat_model(server, idle_timeout_seconds=2.0))[1].finish is Finish.CUT
        with pytest.raises(ModelUnavailable, match="said nothing for too long"):
            ask(chat_model(server, idle_timeout_seconds=0.2))


def test_a_stream_dripped_byte_by_byte_is_read_as_well(ask: Ask, chat_model: MakeModel) -> None:
    answer = stream_calls([("python", {"code": "print('ü')"})])
    with ScriptedServer([Answer(parts=answer.parts, piece_bytes=1)]) as server:
        _, reply = ask(chat_model(server))
    assert reply.finish is Finish.CALLS
    assert json.loads(reply.message.calls[0].arguments_text) == {"code": "print('ü')"}


def test_a_server_that_ignores_streaming_is_understood(ask: Ask, chat_model: MakeModel) -> None:
    message = {"role": "assistant", "content": "whole"}
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"cost": 0.25}}
    with ScriptedServer([whole(body)]) as server:
        _, reply = ask(chat_model(server))
    assert (reply.message.content, reply.finish) == ("whole", Finish.STOP)
    assert reply.usage.cost_usd == 0.25


def test_a_finished_stream_whose_end_is_lost_is_still_whole(
    ask: Ask, chat_model: MakeModel
) -> None:
    answer = stream(chunk(content="all of it"), chunk("stop"), usage={}, done=False)
    lost = Answer(parts=answer.parts, cut_after_bytes=len(answer.encode()) - 5)
    with ScriptedServer([lost]) as server:
        _, reply = ask(chat_model(server))
    assert (reply.message.content, reply.finish) == ("all of it", Finish.STOP)


def test_an_option_the_server_does_not_know_is_left_out_from_then_on(
    ask: Ask, chat_model: MakeModel, request_of: Callable[..., Request]
) -> None:
    def picky(received: Received) -> Answer:
        if "stream_options" in received.json:
            return refuse(400, "Unrecognized request argument supplied: stream_options")
        if "max_tokens" in received.json:
            return refuse(400, "Unsupported parameter: use 'max_completion_tokens' instead")
        return stream_text("ok")

    request = Request(messages=request_of().messages, sampling=Sampling(max_tokens=7))
    with ScriptedServer(picky) as server:
        model = chat_model(server, attempts=1)
        assert ask(model, request)[1].message.content == "ok"
        assert ask(model, request)[1].message.content == "ok"
        assert len(server.received) == 4
        assert server.received[-1].json["max_completion_tokens"] == 7


def test_token_ids_are_asked_for_and_recorded_where_a_server_gives_them(ask: Ask) -> None:
    first = chunk(content="hi")
    first["choices"][0] |= {"token_ids": [5], "logprobs": {"content": [{"logprob": -0.1}]}}
    with ScriptedServer([stream(first | {"prompt_token_ids": [1, 2]}, chunk("stop"))]) as server:
        endpoint = Endpoint(base_url=server.base_url, dialect=Dialect(record_tokens=True))
        _, reply = ask(ChatModel("vllm/m", endpoint=endpoint, model_id="m"))
        assert server.received[0].json["return_token_ids"] is True
    assert reply.tokens is not None
    assert (reply.tokens.prompt_suffix_ids, reply.tokens.sampled_ids) == ((1, 2), (5,))


def test_a_password_in_the_url_is_sent_and_never_shown(ask: Ask) -> None:
    with ScriptedServer([stream_text("ok")]) as server:
        url = server.base_url.replace("://", "://me:pass%20word@")
        model = ChatModel("m", endpoint=url, model_id="m")
        ask(model)
        assert server.received[0].headers["authorization"] == "Basic bWU6cGFzcyB3b3Jk"
    assert "pass" not in json.dumps(model.identity)


def test_a_key_with_a_line_break_is_refused_without_being_shown() -> None:
    key = ApiKey("OPENAI_API_KEY", lambda: "sk-abc\nX-Evil: 1")
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as caught:
        key.reveal()
    assert "sk-abc" not in f"{caught.value}{key!r}"


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://127.0.0.1.evil.example/v1", False),
        ("http://localhost@evil.example/v1", False),
        ("https://api.openai.com/v1", False),
    ],
)
def test_only_loopback_counts_as_local(url: str, is_local: bool) -> None:
    assert ChatModel("m", endpoint=url, model_id="m").is_local is is_local
