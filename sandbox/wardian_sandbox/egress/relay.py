"""Bytes from one side to the other: counted, in bounded memory, never monopolising the loop."""

import asyncio
import contextlib
import socket
from collections.abc import Generator

from wardian_sandbox.egress.flow import Count, Flow
from wardian_sandbox.egress.parsing import ProxyRequest, parse_chunk_size
from wardian_sandbox.egress.refused import malformed
from wardian_sandbox.egress.wire import Wire

SENDING_BYTES = 64 << 10
MAX_CHUNK_LINE = 64
MAX_EXCESS_BYTES = 64 << 10
PARTS_A_TURN = 4
"""Moved before the event loop's other work gets its turn: some hundred microseconds' worth."""


class Turn:
    """Ends now and then. While both sides keep up nothing waits, and so others never had theirs."""

    def __init__(self) -> None:
        self._parts = 0

    async def goes_on(self) -> None:
        self._parts += 1
        if self._parts % PARTS_A_TURN == 0:
            await asyncio.sleep(0)


async def tunnel(client: Wire, server: socket.socket, sent: Count, received: Count) -> None:
    """Both ways until both have ended. Raises: OSError, Refused."""
    assert not client.ahead, "the greeting was passed on whole"
    with Flow(client.sock, server, sent) as there, Flow(server, client.sock, received) as back:
        await asyncio.gather(there.ended, back.ended)


async def exchange(
    client: Wire, server: socket.socket, request: ProxyRequest, sent: Count, received: Count
) -> None:
    """One request's body there, one answer back. Raises: OSError, Refused."""
    head = request.head()
    sent(len(head))
    await asyncio.get_running_loop().sock_sendall(server, head)
    with Flow(server, client.sock, received) as answer:
        if request.body_bytes == 0:
            with _noticing_the_end(client, server):
                await answer.ended
            return
        body = asyncio.create_task(_send_all(client, server, request.body_bytes, sent))
        try:
            # A server may answer before it has heard everything; then the rest is not wanted.
            done, _ = await asyncio.wait((body, answer.ended), return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
            await answer.ended
        finally:
            body.cancel()
            await asyncio.gather(body, return_exceptions=True)


@contextlib.contextmanager
def _noticing_the_end(client: Wire, server: socket.socket) -> Generator[None]:
    """Meanwhile `_send_all`'s last part for a request without a body, which needs no task."""
    loop = asyncio.get_running_loop()
    left = MAX_EXCESS_BYTES

    def hear() -> None:
        nonlocal left
        try:
            heard = len(client.sock.recv(left))
        except BlockingIOError:
            return
        except OSError:
            heard = 0
        left -= heard
        if not heard or not left:
            loop.remove_reader(reader)
        if not heard:
            _say_the_end(server)

    # By number: of a socket that is new to it the loop would first make a description.
    reader = client.sock.fileno()
    loop.add_reader(reader, hear)
    try:
        yield
    finally:
        loop.remove_reader(reader)


def _say_the_end(server: socket.socket) -> None:
    """So that a server does not work for one who is gone; it may be gone itself."""
    with contextlib.suppress(OSError):
        server.shutdown(socket.SHUT_WR)


async def _send_all(client: Wire, server: socket.socket, size: int | None, sent: Count) -> None:
    """The body, then the client's end; what else it says is thrown away."""
    if size is None:
        await _send_chunks(client, server, sent)
    else:
        await _send_exactly(client, server, size, sent, Turn())
    left = MAX_EXCESS_BYTES
    while left > 0 and (data := await client.read()):
        left -= len(data)
    if left > 0:
        _say_the_end(server)


async def _send_chunks(client: Wire, server: socket.socket, sent: Count) -> None:
    """Framed anew, so that the server cannot see another end than we do."""
    turn, loop = Turn(), asyncio.get_running_loop()
    while size := parse_chunk_size(await client.read_line(MAX_CHUNK_LINE)):
        await loop.sock_sendall(server, b"%x\r\n" % size)
        await _send_exactly(client, server, size, sent, turn)
        if await client.read_line(MAX_CHUNK_LINE):
            raise malformed("A chunk is longer than it says.")
        await loop.sock_sendall(server, b"\r\n")
    if await client.read_line(MAX_CHUNK_LINE):
        raise malformed("Trailers are refused.")
    await loop.sock_sendall(server, b"0\r\n\r\n")


async def _send_exactly(
    client: Wire, server: socket.socket, left: int, sent: Count, turn: Turn
) -> None:
    loop = asyncio.get_running_loop()
    while left:
        data = await client.read(min(left, SENDING_BYTES))
        if not data:
            raise malformed("The request's body ended too early.")
        left -= len(data)
        sent(len(data))
        await loop.sock_sendall(server, data)
        await turn.goes_on()
