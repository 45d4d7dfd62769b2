"""What the supervisor has under way, one object a call."""

from __future__ import annotations

import os
import time

from wardian_sandbox.inner.claims import NONCE_BYTES, Claim
from wardian_sandbox.inner.sink import Sink

GRACE_SECONDS = 0.1
"""How long output is waited for when a process that outlived its call still holds the pipe."""


class Call:
    """One request of the host, from its start to its one answer."""

    def __init__(self, number: int, wall_seconds: float, output: int, limit: int) -> None:
        self.number = number
        self.started = time.monotonic()
        self.deadline = self.started + wall_seconds
        self.output = output
        """The reading end of its pipe; -1 once that is closed."""
        self.sink = Sink(limit)
        self.forced: str | None = None
        """timed_out or cancelled, once we ended it."""
        self.status: int | None = None
        """Wait status of its leading process, once that ended."""
        self.settle_by: float | None = None

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def ended(self, status: int) -> None:
        self.status = status
        self.settle_by = time.monotonic() + GRACE_SECONDS

    def is_settled(self, now: float) -> bool:
        """Has it ended, and has all its output come?"""
        return self.settle_by is not None and (self.output < 0 or now >= self.settle_by)

    def wakes_at(self) -> float:
        return self.deadline if self.settle_by is None else self.settle_by


class CommandCall(Call):
    """A shell command."""


class FileCall(Call):
    """A file operation, done by a fork of the supervisor; its output is the result."""


class PythonCall(Call):
    """One cell, run by the worker."""

    def __init__(
        self, number: int, wall_seconds: float, output: int, limit: int, *, end: int, code: str
    ) -> None:
        super().__init__(number, wall_seconds, output, limit)
        self.end = end
        """The writing end of its pipe, held until the worker has it; then -1."""
        self.code = code
        self.cpu_seconds: object = None
        self.attempts = 0
        self.nonce = os.urandom(NONCE_BYTES)
        self.incoming = Claim(limit)
        self.claim: dict[str, object] | None = None
        """What the worker says came of it, once it has said all."""

    def begun(self) -> None:
        """The worker has taken it up."""
        if self.end >= 0:
            os.close(self.end)
            self.end = -1

    def claimed(self, claim: dict[str, object]) -> None:
        self.claim = claim
        self.settle_by = time.monotonic()
