"""A server as a program in a box, as the SDK's client wants it: two streams of messages.

Covers: what a program prints to its standard output that is no message; messages without end, or
without anybody asking; a standard error that never stops. Each ends the server, with the reason.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest, jsonrpc_message_adapter

from wardian_sandbox.service import Service
from wardian_sandbox.service_streams import MAX_STDERR_BYTES
from wardian_tools.mcp.definitions import plain

Received = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Received], MemoryObjectSendStream[SessionMessage]]

MAX_NOISE_LINES = 1_000
"""Lines on standard output that are no messages; what a start-up banner needs, and some."""
MAX_UNASKED = 5_000
"""Messages of a server's own since it was last asked anything."""
KEPT_NOISE_CHARS = 200


@dataclass(slots=True)
class Noise:
    """What a server printed where only messages belong."""

    lines: int = 0
    first: str = field(default="", repr=False)

    def add(self, line: bytes) -> None:
        self.lines += 1
        if not self.first:
            self.first = line.decode(errors="replace").strip()[:KEPT_NOISE_CHARS]

    @property
    def told(self) -> str:
        """What completes "it printed …"; empty if that was nothing."""
        if not self.lines:
            return ""
        count = "a line" if self.lines == 1 else f"{self.lines:,} lines"
        what = "that is no message" if self.lines == 1 else "that are no messages"
        return f"{count} to standard output {what}, beginning: {plain(self.first)}"


@asynccontextmanager
async def messages(service: Service, noise: Noise) -> AsyncGenerator[Streams, None]:
    """The service's messages, as long as it lives; it is closed at the end."""
    to_client: MemoryObjectSendStream[Received]
    to_client, from_server = anyio.create_memory_object_stream[Received](0)
    to_server, from_client = anyio.create_memory_object_stream[SessionMessage](0)
    unasked = 0

    async def read() -> None:
        nonlocal unasked
        async with to_client:
            while True:
                try:
                    line = await service.stdout.line()
                except ValueError:
                    service.kill("sent a message longer than 16 MiB")
                    return
                if not line:
                    return
                message = _message(line, noise)
                if noise.lines > MAX_NOISE_LINES:
                    service.kill(f"printed {noise.told}")
                    return
                if message is None:
                    continue
                if isinstance(message.message, JSONRPCNotification | JSONRPCRequest):
                    unasked += 1
                    if unasked > MAX_UNASKED:
                        service.kill(f"sent {MAX_UNASKED:,} messages that nobody asked for")
                        return
                await to_client.send(message)

    async def write() -> None:
        nonlocal unasked
        async for message in from_client:
            unasked = 0
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            await service.stdin.write(text.encode() + b"\n")

    async def watch() -> None:
        await service.stderr.flooded.wait()
        service.kill(f"wrote over {MAX_STDERR_BYTES >> 20} MiB to standard error")

    async with anyio.create_task_group() as group:
        for work in (read, write, watch):
            group.start_soon(_until_closed, work)
        try:
            yield from_server, to_server
        finally:
            with anyio.CancelScope(shield=True):
                for stream in (to_server, from_client, from_server):
                    await stream.aclose()
                await service.close()
            group.cancel_scope.cancel()


async def _until_closed(work: Callable[[], object]) -> None:
    """Work that ends when the server or the client does."""
    try:
        await work()  # type: ignore[misc]
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, BrokenPipeError):
        return


def _message(line: bytes, noise: Noise) -> SessionMessage | None:
    if not line.strip():
        return None
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        noise.add(line)
        return None
