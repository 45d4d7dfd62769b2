"""The host's end of the control channel: requests out, one answer each back.

Covers: length-prefixed JSON frames of bounded size, number of values and depth; a frame that is
malformed, that nobody asked for, or that answers twice ends the channel with ProtocolBroken, since
whoever sent it is not our supervisor. Nothing that comes in is ever run, unpickled or imported.
"""

import asyncio
import itertools
import socket
from typing import Any

from wardian_sandbox.errors import ProtocolBroken, SandboxLost, last_line
from wardian_sandbox.inner.frames import BadFrame, FrameReader, pack
from wardian_sandbox.inner.values import as_number, as_object

MAX_FAULT_CHARACTERS = 4000
REMEDY = "Open a new sandbox; the state of this one is gone."
ROOM_BYTES = 64 << 10
"""Read at once. A plain protocol would have a quarter of a megabyte mapped for each answer."""
UNEXPECTED = "it ended unexpectedly"
"""Why a channel ended that nobody on this side ended."""


class Channel(asyncio.BufferedProtocol):
    """Frames over a connected unix socket."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[dict[str, Any]] = loop.create_future()
        """What the supervisor says of itself, once it serves."""
        self.lost: asyncio.Future[str] = loop.create_future()
        """Why the channel ended, once it did."""
        self._transport: asyncio.Transport | None = None
        self._room = memoryview(bytearray(ROOM_BYTES))
        self._reader = FrameReader()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.is_broken = False
        """Did it end for what came over it?"""

    @classmethod
    async def connect(cls, sock: socket.socket) -> "Channel":
        """A channel over `sock`, which it owns from now on."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(cls, sock=sock)
        return channel

    def send(self, message: dict[str, Any]) -> None:
        """Put one frame on its way. Raises: SandboxLost."""
        if self.lost.done() or self._transport is None:
            raise self.loss()
        self._transport.write(pack(message))

    def request(self, operation: str, **details: Any) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        """Send a request; its number, and what will be its answer. Raises: SandboxLost."""
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.send({"id": number, "op": operation, **details})
        self._waiting[number] = answer
        return number, answer

    def awaited_anew(self, number: int) -> asyncio.Future[dict[str, Any]] | None:
        """What will be the answer to a request, now that nobody is to use its first future any
        more; None where the answer has come, or never will.
        """
        if number not in self._waiting:
            return None
        self._waiting[number] = asyncio.get_running_loop().create_future()
        return self._waiting[number]

    @property
    def why(self) -> str:
        return self.lost.result() if self.lost.done() else "it was never reached"

    def end(self, why: str) -> None:
        """Close, and fail everything that waits."""
        if not self.lost.done():
            self.lost.set_result(why)
        if self._transport is not None:
            self._transport.abort()
        for answer in (self.ready, *self._waiting.values()):
            if not answer.done():
                answer.set_exception(self.loss())
                answer.exception()  # marked as seen: nobody may be waiting for it any more
        self._waiting.clear()

    def break_off(self, problem: object) -> SandboxLost:
        """Close, since what came makes no sense; gives the error to raise."""
        self.is_broken = self.is_broken or not self.lost.done()
        self.end(f"it broke the control protocol ({problem})")
        return self.loss()

    def loss(self) -> SandboxLost:
        """Why nothing more can be asked, as an error."""
        kind = ProtocolBroken if self.is_broken else SandboxLost
        return kind(f"The sandbox is gone: {self.why}.", REMEDY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self.received(self._room[:nbytes])

    def received(self, data: memoryview) -> None:
        """Bytes of the supervisor; `data` holds them only until this returns."""
        try:
            for message in self._reader.feed(data):
                if not self.lost.done():
                    self._take(message)
        except BadFrame as problem:
            self.break_off(problem)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(UNEXPECTED)

    def _take(self, message: dict[str, Any]) -> None:
        if "fault" in message:
            said = last_line(str(message["fault"]))[:MAX_FAULT_CHARACTERS]
            self.end(f"its supervisor failed: {said}")
            return
        try:
            if "ready" in message and not self.ready.done():
                self.ready.set_result(as_object(message["ready"]))
                return
            number, result = as_number(message.get("id")), as_object(message.get("result"))
        except TypeError as problem:
            raise BadFrame("neither an answer nor a fault") from problem
        answer = self._waiting.pop(number, None)
        if answer is None:
            raise BadFrame("an answer that nobody asked for")
        if not answer.done():
            answer.set_result(result)
