"""Descriptors, and what is to be done when one of them has something to read."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable

READ_BYTES = 1 << 18


class Watch:
    """One epoll for everything the supervisor waits for."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._then: dict[int, Callable[[], None]] = {}

    def add(self, fd: int, then: Callable[[], None]) -> None:
        """Call `then` whenever `fd` can be read; a second time replaces the first."""
        if fd not in self._then:
            self._poll.register(fd, select.EPOLLIN)
        self._then[fd] = then

    def drop(self, fd: int) -> None:
        """Wait for it no more. It is not closed."""
        del self._then[fd]
        self._poll.unregister(fd)

    def attend(self, seconds: float) -> None:
        """Wait, at most `seconds` (-1 is for ever), and do what is due."""
        for fd, _ in self._poll.poll(seconds):
            then = self._then.get(fd)
            if then is not None:  # what came before it may have dropped it
                then()


def read_now(fd: int) -> bytes | None:
    """What a non-blocking descriptor has; None if nothing yet, empty at its end."""
    try:
        return os.read(fd, READ_BYTES)
    except BlockingIOError:
        return None


def listen_for_children() -> int:
    """A descriptor that can be read when a child ended."""
    wake, end = os.pipe()
    for fd in (wake, end):
        os.set_blocking(fd, False)
    signal.signal(signal.SIGCHLD, _note_a_signal)
    signal.set_wakeup_fd(end, warn_on_full_buffer=False)
    return wake


def _note_a_signal(number: int, frame: object) -> None:
    """Nothing: the wake-up descriptor tells."""
