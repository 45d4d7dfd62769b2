"""One direction of a connection, moved by the event loop itself, without a task that wakes for it.

Little is copied through this process. From the first full part on a pipe carries the kernel's pages
from socket to socket. Either way what one side does not take yet is all that is held, and nothing
more is read; a part is moved a turn of the loop, so that one transfer does not keep others waiting.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Callable
from typing import Self

from wardian_sandbox.egress.refused import Refused

COPIED_BYTES = 64 << 10
SPLICED_BYTES = 1024 << 10

Count = Callable[[int], None]
"""Told of bytes before they are passed on; raises Refused when they are too many."""


class Copy:
    """Through memory of ours."""

    def __init__(self) -> None:
        self._data = memoryview(b"")

    def take(self, source: socket.socket) -> int:
        self._data = memoryview(source.recv(COPIED_BYTES))
        return len(self._data)

    def give(self, sink: socket.socket, _: int) -> int:
        gone = sink.send(self._data)
        self._data = self._data[gone:]
        return gone

    def close(self) -> None:
        """Nothing to close."""


class Pipe:
    """Through the kernel. Raises: OSError when there can be no pipe."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        with contextlib.suppress(OSError):  # an ordinary user's share may be used up
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, SPLICED_BYTES)

    def take(self, source: socket.socket) -> int:
        return os.splice(source.fileno(), self._in, SPLICED_BYTES, flags=os.SPLICE_F_NONBLOCK)

    def give(self, sink: socket.socket, held: int) -> int:
        return os.splice(self._out, sink.fileno(), held, flags=os.SPLICE_F_NONBLOCK)

    def close(self) -> None:
        os.close(self._in)
        os.close(self._out)


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
        self._means: Copy | Pipe = Copy()
        self._held = 0
        self._is_stuck = False
        self._is_bulk = False

    def __enter__(self) -> Self:
        self._loop.add_reader(self._reader, self._move)
        return self

    def __exit__(self, *_: object) -> None:
        self._rest()
        self._means.close()
        if not self.ended.cancel() and not self.ended.cancelled():
            self.ended.exception()  # another one may have been told instead

    def _rest(self) -> None:
        if self._is_stuck:
            self._loop.remove_writer(self._writer)
        else:
            self._loop.remove_reader(self._reader)

    def _move(self) -> None:
        """A part, or the rest of one."""
        if self.ended.done():
            return  # cancelled, and about to be left
        try:
            self._take_and_give()
        except BlockingIOError:
            self._wait(is_stuck=self._held > 0)
        except (OSError, Refused) as problem:
            self._rest()
            self.ended.set_exception(problem)

    def _take_and_give(self) -> None:
        if not self._held:
            if self._is_bulk and isinstance(self._means, Copy):
                self._splice()
            self._held = self._means.take(self._source)
            if not self._held:
                self._sink.shutdown(socket.SHUT_WR)
                self._rest()
                self.ended.set_result(None)
                return
            self._count(self._held)
            self._is_bulk = self._held == COPIED_BYTES
        while self._held:
            self._held -= self._means.give(self._sink, self._held)
        self._wait(is_stuck=False)

    def _splice(self) -> None:
        with contextlib.suppress(OSError):  # no descriptors left, say
            self._means = Pipe()

    def _wait(self, *, is_stuck: bool) -> None:
        if is_stuck == self._is_stuck:
            return
        self._rest()
        self._is_stuck = is_stuck
        if is_stuck:
            self._loop.add_writer(self._writer, self._move)
        else:
            self._loop.add_reader(self._reader, self._move)
