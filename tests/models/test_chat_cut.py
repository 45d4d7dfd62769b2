"""A stream cut at every byte: never a wrong call, never a crash."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing

import pytest

from wardian.errors import ModelUnavailable
from wardian.models.chat import ChatModel
from wardian.models.scripted_server import Answer, Framing, Received, ScriptedServer
from wardian.types import Finish, Reply, Request

CALLS = [("f", {"a": 1}), ("g", {"b": "ü"})]
PARTS = (  # short, since every byte of it is a request
    (
        b'data:{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"x","function":'
        b'{"name":"f","arguments":"{\\"a\\""}}]}}]}\n\n'
    ),
    b'data:{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}\n\n',
    (
        b'data:{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"y","function":'
        b'{"name":"g","arguments":"{\\"b\\":\\"\xc3\xbc\\"}"}}]}}]}\n\n'
    ),
    b'data:{"choices":[{"finish_reason":"tool_calls"}]}\n\n',
    b"data:[DONE]\n\n",
)
TERMINAL = (Finish.STOP, Finish.CALLS)


@pytest.mark.parametrize(("framing", "step"), [("chunked", 1), ("close", 7)])
def test_a_call_is_only_whole_when_all_of_it_came(
    framing: Framing,
    step: int,
    chat_model: Callable[..., ChatModel],
    request_of: Callable[..., Request],
) -> None:
    whole = Answer(parts=PARTS, framing=framing)
    places = range(len(whole.encode()), -1, -step)[::-1]
    cuts = iter(places)

    def next_cut(_: Received) -> Answer:
        return Answer(parts=PARTS, framing=framing, cut_after_bytes=next(cuts))

    async def read_all() -> list[Reply | None]:
        async with ScriptedServer(next_cut, records=False) as server:
            model = chat_model(server, attempts=1)
            replies = [await read_once(model, request_of()) for _ in places]
            await model.close()
            return replies

    replies = asyncio.run(read_all())
    finished = [r for r in replies if r is not None and r.finish in TERMINAL]
    assert replies[-1] in finished
    for reply in finished:
        calls = [(c.name, json.loads(c.arguments_text)) for c in reply.message.calls]
        assert calls == CALLS
    assert {r.finish for r in replies if r is not None} == {Finish.CUT, Finish.CALLS}


async def read_once(model: ChatModel, request: Request) -> Reply | None:
    """The reply; None when the server was gone before the first token."""
    try:
        async with aclosing(model.stream(request)) as parts:
            *_, reply = [part async for part in parts]
    except ModelUnavailable:
        return None
    assert isinstance(reply, Reply)
    return reply
