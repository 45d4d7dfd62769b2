"""One direction of a connection, moved by the event loop itself: no task has to wake for a part.

What one side does not take yet is all that is held, and nothing more is read meanwhile. A part is
moved a turn of the loop, so that a transfer that never ends does not keep others waiting.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Self

from wardian_sandbox.egress.refused import Refused

PART_BYTES = 256 << 10

Count = Callable[[int], None]
"""Told of bytes before they are passed on; raises Refused when they are too many."""


class Flow:
    """Everything from `source`, then its end: from entering until `ended`, or until leaving.

    `ended` raises OSError, Refused.
    """

    def __init__(self, source: socket.socket, sink: socket.socket, count: Count) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._source, self._sink, self._count = source, sink, count
        # By number: of a socket that is new to it the loop would first make a description.
        self._reader, self._writer = source.fileno(), sink.fileno()
        self._held = memoryview(b"")
        self._is_stuck = False

    def __enter__(self) -> Self:
        self._loop.add_reader(self._reader, self._move)
        return self

    def __exit__(self, *_: object) -> None:
        self._rest()
        if not self.ended.cancel() and not self.ended.cancelled():
            self.ended.exception()  # another one may have been told instead

    def _move(self) -> None:
        """A part, or the rest of one."""
        if self.ended.done():
            return  # cancelled, and about to be left
        try:
            if not self._held and not self._take():
                self._sink.shutdown(socket.SHUT_WR)
                self._rest()
                self.ended.set_result(None)
                return
            while self._held:
                self._held = self._held[self._sink.send(self._held) :]
        except BlockingIOError:
            pass
        except (OSError, Refused) as problem:
            self._rest()
            self.ended.set_exception(problem)
            return
        self._wait(is_stuck=bool(self._held))

    def _take(self) -> int:
        self._held = memoryview(self._source.recv(PART_BYTES))
        if self._held:
            self._count(len(self._held))
        return len(self._held)

    def _wait(self, *, is_stuck: bool) -> None:
        """For the sink while it takes nothing more, else for the source."""
        if is_stuck == self._is_stuck:
            return
        self._rest()
        self._is_stuck = is_stuck
        if is_stuck:
            self._loop.add_writer(self._writer, self._move)
        else:
            self._loop.add_reader(self._reader, self._move)

    def _rest(self) -> None:
        if self._is_stuck:
            self._loop.remove_writer(self._writer)
        else:
            self._loop.remove_reader(self._reader)
