"""A local model to ask, and what to ask it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from wardian.models.llama import LlamaModel
from wardian.types import Message, Reply, Request, Role, Sampling, TokenRecord, ToolSpec

PYTHON = ToolSpec(
    name="python",
    description="Runs code.",
    parameters={
        "type": "object",
        "properties": {"code": {"type": "string", "maxLength": 12}},
        "required": ["code"],
    },
)
HELLO = Message(role=Role.USER, content="Hello")
HOT = Sampling(temperature=1.0, seed=1, max_tokens=40)
ENDLESS: dict[str, Any] = {
    "sampling": Sampling(temperature=1.0, seed=3),
    "output_schema": {"type": "string", "minLength": 9000},
}
"""A reply that fills the window, since it may not end before."""


@asynccontextmanager
async def model_of(path: Path, **options: Any) -> AsyncIterator[LlamaModel]:
    model = LlamaModel(path, name="test", threads=1, **options)
    try:
        yield model
    finally:
        await model.close()


def request(*messages: Message, sampling: Sampling = HOT, **more: Any) -> Request:
    return Request(messages=messages or (HELLO,), sampling=sampling, **more)


async def asked(model: LlamaModel, question: Request) -> Reply:
    *_, reply = [item async for item in model.stream(question)]
    assert isinstance(reply, Reply)
    return reply


def tokens_of(reply: Reply) -> TokenRecord:
    assert reply.tokens is not None
    return reply.tokens
