"""A model that gives the replies a run recorded, in their order."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from wardian.errors import ModelError
from wardian.models.replies import pieces_of
from wardian.types import Delta, Reply, Request


class RecordingEnded(ModelError):
    """The recording has no further reply: the run stopped there."""


class ReplayedModel:
    """Answers as recorded, whatever is asked."""

    def __init__(
        self, replies: Sequence[Reply], *, name: str = "replayed", identity: dict[str, Any]
    ) -> None:
        self._replies = tuple(replies)
        self._name = name
        self._identity = identity
        self.asked = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def is_local(self) -> bool:
        """What the recorded model was: the policy may decide by it. Nothing is sent anywhere."""
        return bool(self._identity.get("is_local", True))

    @property
    def identity(self) -> dict[str, Any]:
        return {k: v for k, v in self._identity.items() if k not in ("name", "is_local")}

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        """Raises: RecordingEnded."""
        del request
        if self.asked >= len(self._replies):
            raise RecordingEnded("The recording has no further reply.")
        self.asked += 1
        for part in pieces_of(self._replies[self.asked - 1], chunk_chars=4096):
            yield part

    async def close(self) -> None:
        """Nothing to close."""
