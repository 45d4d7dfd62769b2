"""The filtering proxy of one box, on the host's event loop.

Covers: one request a connection; decided by host and port before anything is looked up, by address
before it is dialled, by the TLS greeting before a byte of it is passed on; every decision told;
connections, bytes, and time bounded.
Does not cover: what is said inside TLS to a host that is allowed; what such a host does with it;
hosts that are allowed and pass on what others sent them.
"""

import asyncio
import socket
from collections.abc import Callable

from wardian_sandbox.egress.dialling import Resolve, dial, look_up
from wardian_sandbox.egress.hello import UNRECOGNISED_NAME, HelloReader, check_hello
from wardian_sandbox.egress.ledger import Ledger, Passage
from wardian_sandbox.egress.parsing import ProxyRequest, parse_request
from wardian_sandbox.egress.refused import Refused
from wardian_sandbox.egress.relay import exchange, tunnel
from wardian_sandbox.egress.rules import Rules
from wardian_sandbox.egress.wire import Wire
from wardian_sandbox.types import Egress, EgressEvent

OnEgress = Callable[[EgressEvent], None]

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
ACCEPT_PAUSE_SECONDS = 0.1
SLACK = 1 / 8


def ignore(event: EgressEvent) -> None:
    """For who does not want to know."""


class EgressProxy:
    """Accepts from the socket that a box handed over, until it is closed."""

    def __init__(
        self,
        egress: Egress,
        on_event: OnEgress = ignore,
        resolve: Resolve = look_up,
        *,
        is_web: bool = False,
    ) -> None:
        """`is_web` is for web tools. Raises: BadName when a host of the list is none."""
        self._rules = Rules(egress, is_web=is_web)
        self._limits = egress.limits
        self._on_event = on_event
        self._resolve = resolve
        self._ledger = Ledger(egress.limits)
        self._listener: socket.socket | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def serve(self, listener: socket.socket) -> None:
        """Start accepting; the socket is the proxy's from now on."""
        assert self._listener is None, "one proxy, one box"
        self._listener = listener
        self._accept_again()

    async def close(self) -> None:
        """End all connections. May be called twice, and without having served."""
        if self._listener is not None and self._listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept_again(self) -> None:
        if self._listener is not None and self._listener.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        """Take one client; those beyond the limit wait for their turn in the kernel."""
        loop = asyncio.get_running_loop()
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it left again
        except OSError:  # no descriptors left, say: those who wait will be served later
            loop.remove_reader(listener)
            loop.call_later(ACCEPT_PAUSE_SECONDS, self._accept_again)
            return
        task = loop.create_task(self._attend(client))
        self._connections.add(task)
        task.add_done_callback(self._attended)
        if len(self._connections) >= self._limits.connections:
            loop.remove_reader(listener)

    def _attended(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        if len(self._connections) == self._limits.connections - 1:
            self._accept_again()

    async def _attend(self, sock: socket.socket) -> None:
        with sock:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire, passage = Wire(sock), self._ledger.open()
            try:
                await self._serve_one(wire, passage)
            except Refused as refused:
                self._tell(passage.refused(refused))
                await _answer(wire, refused, passage)
            except OSError:
                self._tell(passage.closed("The connection broke."))
            except asyncio.CancelledError:
                self._tell(passage.closed("The sandbox was closed."))
                raise
            else:
                self._tell(passage.closed())

    async def _serve_one(self, wire: Wire, passage: Passage) -> None:
        self._ledger.check_connections()
        request = await self._hear(wire)
        if request is None:
            return
        passage.asks(request.host, request.port)
        self._rules.check_target(request.host, request.port)
        server, address = await dial(
            request.host, request.port, self._rules, self._resolve, self._limits.connect_seconds
        )
        with server:
            passage.address = str(address)
            greeting = await self._greet(wire, request, passage) if request.is_connect else b""
            self._tell(passage.allowed())
            await self._pass(wire, server, request, greeting, passage)

    async def _hear(self, wire: Wire) -> ProxyRequest | None:
        """The request; None where the client left without one. Raises: Refused, OSError."""
        head = wire.head_at_once()
        if not head:
            try:
                async with asyncio.timeout(self._limits.request_seconds):
                    head = await wire.read_head()
            except TimeoutError as problem:
                raise Refused("slow", "The request took too long to come.", 408) from problem
        return parse_request(head) if head else None

    async def _greet(self, wire: Wire, request: ProxyRequest, passage: Passage) -> bytes:
        """Open the tunnel and hear the TLS greeting, which is for that host."""
        await wire.send(ESTABLISHED)
        passage.is_tunnel = True
        reader = HelloReader()
        try:
            async with asyncio.timeout(self._limits.request_seconds):
                while (body := reader.feed(data := await wire.read())) is None:
                    if not data:
                        raise Refused("tls", "The tunnel ended before a TLS greeting.")
        except TimeoutError as problem:
            raise Refused("slow", "The TLS greeting took too long to come.") from problem
        check_hello(body, request.host, request.port)
        return bytes(reader.raw)

    async def _pass(
        self,
        wire: Wire,
        server: socket.socket,
        request: ProxyRequest,
        greeting: bytes,
        passage: Passage,
    ) -> None:
        """Raises: Refused, OSError."""
        loop = asyncio.get_running_loop()
        idle = self._limits.idle_seconds
        try:
            async with asyncio.timeout(idle) as clock:
                passage.moves = lambda: _put_off(clock, loop.time() + idle, idle * SLACK)
                if request.is_connect:
                    passage.sent(len(greeting))
                    await loop.sock_sendall(server, greeting)
                    await tunnel(wire, server, passage.sent, passage.received)
                else:
                    await exchange(wire, server, request, passage.sent, passage.received)
        except TimeoutError as problem:
            raise Refused("idle", f"Nothing moved for {idle:g} seconds.", 504) from problem
        if not request.is_connect and wire.has_unread:
            await wire.part()

    def _tell(self, event: EgressEvent | None) -> None:
        if event is not None:
            self._on_event(event)


def _put_off(clock: asyncio.Timeout, until: float, slack: float) -> None:
    """Not for every part: moving a clock on costs more than moving the part."""
    due = clock.when()
    if due is None or until - due > slack:
        clock.reschedule(until)


async def _answer(wire: Wire, refused: Refused, passage: Passage) -> None:
    """Tell the client why, unless it is in the middle of something else by now."""
    if passage.received_bytes:
        return
    body = f"{refused.sentence}\n".encode()
    # Many clients show the reason phrase of a refused CONNECT and never its body.
    head = (
        f"HTTP/1.1 {refused.status} {refused.sentence}\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    try:
        await wire.send(UNRECOGNISED_NAME if passage.is_tunnel else head.encode("ascii") + body)
    except OSError:
        return
    await wire.part()
