"""What the model tests share: asking a model, and retries that do not wait."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from wardian.models.chat import ChatModel, Endpoint
from wardian.models.keys import ApiKey
from wardian.models.retrying import Retrying
from wardian.models.scripted_server import ScriptedServer
from wardian.types import Delta, Message, Model, Reply, Request, Role, ToolSpec

PYTHON = ToolSpec(
    name="python",
    description="Run Python.",
    parameters={"type": "object", "properties": {"code": {"type": "string"}}},
)


async def read_stream(model: Model, request: Request) -> tuple[list[Delta], Reply]:
    """All deltas, and the reply that must come last and once."""
    async with aclosing(model.stream(request)) as stream:
        parts = [part async for part in stream]
    *deltas, reply = parts
    assert isinstance(reply, Reply)
    return [d for d in deltas if not isinstance(d, Reply)], reply


@pytest.fixture
def request_of() -> Callable[..., Request]:
    """A request with one user message and the `python` tool."""

    def make(text: str = "hi", tools: tuple[ToolSpec, ...] = (PYTHON,)) -> Request:
        return Request(messages=(Message(role=Role.USER, content=text),), tools=tools)

    return make


@pytest.fixture
def ask(request_of: Callable[..., Request]) -> Callable[..., tuple[list[Delta], Reply]]:
    """Ask a model once, in a loop of its own, and close it."""

    def once(model: Model, request: Request | None = None) -> tuple[list[Delta], Reply]:
        async def go() -> tuple[list[Delta], Reply]:
            try:
                return await read_stream(model, request or request_of())
            finally:
                await model.close()

        return asyncio.run(go())

    return once


@pytest.fixture
def waits() -> list[float]:
    """How long the retries of `chat_model` would have waited."""
    return []


@pytest.fixture
def chat_model(waits: list[float]) -> Callable[..., ChatModel]:
    """A client of a scripted server whose retries do not wait."""

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def make(
        server: ScriptedServer | str,
        *,
        key: str | None = None,
        attempts: int = 4,
        idle_timeout_seconds: float = 30.0,
    ) -> ChatModel:
        base_url = server if isinstance(server, str) else server.base_url
        return ChatModel(
            "openai/m",
            endpoint=Endpoint(base_url=base_url, key_variable="OPENAI_API_KEY"),
            model_id="m",
            api_key=None if key is None else ApiKey("OPENAI_API_KEY", lambda: key),
            idle_timeout_seconds=idle_timeout_seconds,
            retrying=Retrying(attempts=attempts, sleep=sleep, random=lambda: 1.0),
        )

    return make
