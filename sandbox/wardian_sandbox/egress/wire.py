"""A client's connection as the proxy reads it: bounded, and never further than it has to."""

import asyncio
import contextlib
import socket

from wardian_sandbox.egress.parsing import MAX_HEAD_BYTES, check_beginning
from wardian_sandbox.egress.refused import malformed

READ_BYTES = 16 << 10
END = b"\r\n\r\n"
MAX_LINGER_BYTES = 1 << 20
LINGER_SECONDS = 2.0


class Wire:
    """A non-blocking socket and what was read of it too far."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.ahead = b""

    async def read(self, most: int = READ_BYTES) -> bytes:
        """The next bytes, at least one; empty at the end. Raises: OSError."""
        if self.ahead:
            data, self.ahead = self.ahead[:most], self.ahead[most:]
            return data
        return await asyncio.get_running_loop().sock_recv(self.sock, most)

    def head_at_once(self) -> bytes:
        """What `read_head` gives where all of it is there already, which needs no clock.

        Raises: Refused, OSError.
        """
        with contextlib.suppress(BlockingIOError):
            self.ahead = self.sock.recv(READ_BYTES)
        head, end, rest = self.ahead.partition(END)
        if not end:
            return b""
        check_beginning(head[:1])
        self.ahead = rest
        return head

    async def read_head(self) -> bytes:
        """Up to the empty line; nothing when the client left before it said anything.

        Raises: Refused, OSError.
        """
        data = bytearray()
        while (end := data.find(END, max(len(data) - READ_BYTES - 3, 0))) < 0:
            if len(data) > MAX_HEAD_BYTES:
                raise malformed("The request's head is too long.", 431)
            more = await self.read()
            if not more and not data:
                return b""
            if not more:
                raise malformed("The request ended in its head.")
            data += more
            check_beginning(data[:1])
        self.ahead = bytes(data[end + len(END) :])
        return bytes(data[:end])

    async def read_line(self, most: int) -> bytes:
        """Up to the next CR LF, without it. Raises: Refused, OSError."""
        data = bytearray()
        while (end := data.find(b"\r\n")) < 0:
            if len(data) > most:
                raise malformed("A line of the body is too long.")
            more = await self.read(most)
            if not more:
                raise malformed("The request's body ended too early.")
            data += more
        self.ahead = bytes(data[end + 2 :]) + self.ahead
        return bytes(data[:end])

    async def send(self, data: bytes) -> None:
        """Raises: OSError."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    @property
    def has_unread(self) -> bool:
        """Has the client sent more than was read?"""
        try:
            return bool(self.ahead or self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    async def part(self) -> None:
        """Say that nothing follows, and hear the client out.

        Closing over unread data would reset the connection, and the client lose its answer.
        """
        try:
            self.sock.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(LINGER_SECONDS):
                heard = 0
                while heard < MAX_LINGER_BYTES and (data := await self.read()):
                    heard += len(data)
        except (OSError, TimeoutError):
            pass  # it is gone, or never stops: both end here
