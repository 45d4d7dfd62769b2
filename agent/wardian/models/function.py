"""A model that is a function: for tests whose answers depend on what is asked."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from wardian.models.replies import Answer, make_reply, pieces_of
from wardian.types import Delta, Reply, Request

Answering = Callable[[Request], Answer | Awaitable[Answer]]


class FunctionModel:
    """Answers with what `function(request)` gives, plain or awaited.

    The function gives text, a `Reply`, a list of calls, or an exception to raise.
    """

    def __init__(
        self, function: Answering, *, name: str = "function", chunk_chars: int = 16
    ) -> None:
        if chunk_chars < 1:
            raise ValueError(f"chunk_chars must be at least 1, got {chunk_chars}.")
        self._function = function
        self._name = name
        self._chunk_chars = chunk_chars
        self.requests: list[Request] = []
        """What was asked, in order."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def is_local(self) -> bool:
        return True

    @property
    def identity(self) -> dict[str, Any]:
        return {"kind": "function", "function": getattr(self._function, "__qualname__", "")}

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        step = len(self.requests)
        self.requests.append(request)
        given = self._function(request)
        answer = await given if inspect.isawaitable(given) else given
        if isinstance(answer, BaseException):
            raise answer
        reply = make_reply(answer, model=self._name, step=step)
        for part in pieces_of(reply, chunk_chars=self._chunk_chars):
            yield part

    async def close(self) -> None:
        """Nothing to close."""
