"""What the supervisor has under way, one object a call."""

from __future__ import annotations

import os
import signal
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
        """timed_out, cancelled or limited, once we ended it."""
        self.hit: set[str] = set()
        """The limits it ran into, by the names of the host's `Limit`."""
        self.cpu_seconds: object = None
        """Processor time it was given; None where it is not limited."""
        self.status: int | None = None
        """Wait status of its leading process, once that ended."""
        self.settle_by: float | None = None

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def ended(self, status: int, spent_seconds: float) -> None:
        """Its leading process was reaped, having used so much processor time."""
        self.status = status
        self.hit |= _limits_by_signal(status, spent_seconds, self.cpu_seconds)
        self.settle_by = time.monotonic() + GRACE_SECONDS

    def is_settled(self, now: float) -> bool:
        """Has it ended, and has all its output come?"""
        return self.settle_by is not None and (self.output < 0 or now >= self.settle_by)

    def wakes_at(self) -> float:
        return self.deadline if self.settle_by is None else self.settle_by


def _limits_by_signal(status: int, spent_seconds: float, cpu_seconds: object) -> set[str]:
    """What ended a process, or a child of the shell that reports it by its own exit code."""
    code = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status) - 128
    if code == signal.SIGXCPU and isinstance(cpu_seconds, int) and spent_seconds > cpu_seconds - 1:
        return {"cpu"}
    return {"file"} if code == signal.SIGXFSZ else set()


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
        """The writing end of its pipe, held in case the worker dies before it takes the cell up;
        -1 once the cell is over."""
        self.code = code
        self.attempts = 0
        self.nonce = os.urandom(NONCE_BYTES)
        self.incoming = Claim(limit)
        self.claim: dict[str, object] | None = None
        """What the worker says came of it, once it has said all."""
        self.left_running = 0
        """Processes that it had started, and that we ended after it."""

    def is_over(self) -> None:
        """No worker is to get it any more: its pipe ends with the last process that holds it."""
        if self.end >= 0:
            os.close(self.end)
            self.end = -1

    def claimed(self, claim: dict[str, object]) -> None:
        self.claim = claim
        self.is_over()
        self.settle_by = time.monotonic()
