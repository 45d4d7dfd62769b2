"""A model that answers from a script: for tests, and for showing an agent without a model."""

from collections.abc import AsyncGenerator, Iterable
from typing import Any

from wardian.errors import ModelUnavailable
from wardian.models.replies import Answer, make_reply, pieces_of
from wardian.types import Delta, Reply, Request


class ScriptedModel:
    """Gives the answers of a script, one per request, streamed as a real model would.

        ScriptedModel([[("python", {"code": "6*7"})], "The answer is 42."])

    An answer is text, a `Reply`, a list of calls, or an exception to raise.
    """

    def __init__(
        self, replies: Iterable[Answer], *, name: str = "scripted", chunk_chars: int = 16
    ) -> None:
        if chunk_chars < 1:
            raise ValueError(f"chunk_chars must be at least 1, got {chunk_chars}.")
        self._script = tuple(replies)
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
        return {"kind": "scripted", "replies": len(self._script)}

    @property
    def remaining(self) -> int:
        """How many answers were not asked for yet."""
        return max(0, len(self._script) - len(self.requests))

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        """Raises: ModelUnavailable, when the script is used up; what the script says to raise."""
        step = len(self.requests)
        self.requests.append(request)
        if step >= len(self._script):
            raise ModelUnavailable(
                f"The script of {self._name!r} holds {len(self._script)} answers"
                f" and was asked for number {step + 1}.",
                "Add an answer, or look why the run asks once more.",
            )
        answer = self._script[step]
        if isinstance(answer, BaseException):
            raise answer
        reply = make_reply(answer, model=self._name, step=step)
        for part in pieces_of(reply, chunk_chars=self._chunk_chars):
            yield part

    async def close(self) -> None:
        """Nothing to close."""
