"""The host's ends of a program's standard streams."""

import asyncio
import os
from contextlib import suppress
from typing import cast

MAX_LINE_BYTES = 16 << 20
TAIL_BYTES = 16 << 10
MAX_STDERR_BYTES = 256 << 20
"""More is no longer a log: whoever reads it is to end the program."""


class Outgoing(asyncio.BaseProtocol):
    """What the program reads."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._has_room = asyncio.Event()
        self._is_lost = False

    async def connect(self, fd: int) -> None:
        """Raises: OSError."""
        pipe = os.fdopen(fd, "wb", 0)
        await asyncio.get_running_loop().connect_write_pipe(lambda: self, pipe)

    async def write(self, data: bytes) -> None:
        """All of it, waiting while the program does not read. Raises: BrokenPipeError."""
        await self._has_room.wait()
        if self._is_lost or self._transport is None or self._transport.is_closing():
            raise BrokenPipeError("the program reads no more")
        self._transport.write(data)

    def end(self) -> None:
        """No more comes, once the program has read what came."""
        if self._transport is not None and not self._is_lost:
            self._transport.close()

    def close(self) -> None:
        """At once; what the program has not read is dropped."""
        if self._transport is not None and not self._is_lost:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._has_room.set()

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._has_room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._has_room.set()


class Incoming:
    """What the program writes, by lines."""

    def __init__(self) -> None:
        self._reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
        self._transport: asyncio.ReadTransport | None = None

    async def connect(self, fd: int) -> None:
        """Raises: OSError."""
        protocol = asyncio.StreamReaderProtocol(self._reader)
        pipe = os.fdopen(fd, "rb", 0)
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: protocol, pipe
        )

    async def line(self) -> bytes:
        """The next line with its end; empty once there is none.

        Raises: ValueError when it is longer than MAX_LINE_BYTES.
        """
        with suppress(ConnectionError):
            return await self._reader.readline()
        return b""

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Tail(asyncio.Protocol):
    """The end of what the program writes to its standard error, and how much that was."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._transport: asyncio.ReadTransport | None = None
        self.total_bytes = 0
        self.flooded = asyncio.Event()
        """Set once that is more than MAX_STDERR_BYTES."""
        self._is_over = asyncio.Event()

    async def connect(self, fd: int) -> None:
        """Raises: OSError."""
        pipe = os.fdopen(fd, "rb", 0)
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: self, pipe)

    def data_received(self, data: bytes) -> None:
        self.total_bytes += len(data)
        self._kept += data[-TAIL_BYTES:]
        del self._kept[:-TAIL_BYTES]
        if self.total_bytes > MAX_STDERR_BYTES:
            self.flooded.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over.set()

    async def over(self, seconds: float) -> None:
        """Wait until all of it has come, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_over.wait()

    @property
    def text(self) -> str:
        return self._kept.decode(errors="replace").strip()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
