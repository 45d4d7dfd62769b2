"""What the child has to tell, on its way out."""

import json
import time
from collections.abc import Callable
from typing import Any

TOGETHER_SECONDS = 0.04
"""Text written within this time goes out at once: the eye sees no more, and each message wakes two
threads of the parent, on cores that llama.cpp computes on."""


class Outgoing:
    """Messages in order, each after the text that was said before it."""

    def __init__(
        self, write: Callable[[bytes], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._unsent: list[bytes] = []
        self._unsaid: dict[tuple[int, int], str] = {}
        self._due = 0.0

    def send(self, message: dict[str, Any]) -> None:
        self._unsent.append(_line(message))

    def say(self, request: int, sample: int, text: str) -> None:
        """More of a reply's text."""
        key = request, sample
        self._unsaid[key] = self._unsaid.get(key, "") + text

    def flush(self) -> None:
        """All of it goes out now; so does the next text, whatever its time."""
        said, self._unsaid = self._unsaid, {}
        lines = [_line({"id": i, "sample": n, "text": text}) for (i, n), text in said.items()]
        lines += self._unsent
        self._unsent = []
        self._due = 0.0
        if lines:
            self._write(b"".join(lines))

    def flush_when_due(self) -> None:
        """Text that follows other text at once waits a little; nothing else does."""
        if self._unsent:
            self.flush()
        elif self._unsaid and (now := self._clock()) >= self._due:
            self.flush()
            self._due = now + TOGETHER_SECONDS


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
