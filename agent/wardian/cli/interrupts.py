"""Signals of a running `agent`: the first asks the run to stop, the next ones insist."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Self

INSIST_SECONDS = 1.5
"""How long the run may take to stop after the second Ctrl-C"""
TERMINATE_SECONDS = 8.0
"""How long it may take after SIGTERM or SIGHUP"""
SHOW_CURSOR = "\x1b[?25h"
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Installed with `with`, inside the running event loop, in the main thread.

    `stop` is called in the loop at the first signal. `decline` is called instead while it is set
    and Ctrl-C is pressed: the answer to a question. A run that does not stop in time is ended hard;
    its trajectory is on disk up to the last event.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.stop: Callable[[], object] = lambda: None
        self.decline: Callable[[], object] | None = None
        self.count = 0
        self.signal = 0
        self.former: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in HANDLED:
            # nohup ignores SIGHUP for us, and a shell ignores SIGINT for its background jobs.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self.former[number] = signal.signal(number, self._received)
        self.former[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._out_of_time)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self.former.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal.signal gave

    @property
    def exit_code(self) -> int | None:
        return 128 + self.signal if self.signal else None

    def forget(self) -> None:
        """The person goes on: the next Ctrl-C is a first one again."""
        self.count = self.signal = 0
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _received(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            leave_dead_terminal()
        if number == signal.SIGINT and self.decline is not None:
            self.loop.call_soon_threadsafe(self.decline)
            return
        self.count += 1
        self.signal = number
        if self.count > 2:
            self._out_of_time(number, None)
        if number != signal.SIGINT:
            signal.setitimer(signal.ITIMER_REAL, TERMINATE_SECONDS)
        elif self.count == 2:
            signal.setitimer(signal.ITIMER_REAL, INSIST_SECONDS)
        self.loop.call_soon_threadsafe(self.stop)

    def _out_of_time(self, _: int, __: FrameType | None) -> None:
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), SHOW_CURSOR.encode())
        os._exit(128 + (self.signal or signal.SIGINT))


def leave_dead_terminal() -> None:
    """Where the terminal was closed, read and write nothing from here on: all of it would fail."""
    for descriptor in (0, 1, 2):
        try:
            os.get_terminal_size(descriptor)
        except OSError as error:
            if error.errno == errno.EIO:
                nowhere = os.open(os.devnull, os.O_RDWR)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
