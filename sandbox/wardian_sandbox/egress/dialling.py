"""From a host that is allowed to a connection: looked up once, checked, and only that dialled.

Covers: names that lead to private or special addresses, whatever they led to a moment before; this
machine's own public addresses, whose services may trust their neighbours.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence

from wardian_sandbox.egress.addresses import parse_address
from wardian_sandbox.egress.names import Address, Host, show
from wardian_sandbox.egress.refused import Refused
from wardian_sandbox.egress.rules import Rules

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""A host name's addresses, best first. Raises OSError where there are none."""

MAX_ADDRESSES = 4


async def look_up(name: str) -> list[str]:
    """As the system resolves names. Raises: OSError."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(found: list[str] | OSError) -> None:
        if answer.done():
            return
        if isinstance(found, OSError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def ask() -> None:
        found = _asked(name)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, found)

    # A resolver cannot be interrupted, so this is no thread that the program's end would wait for.
    threading.Thread(target=ask, name="wardian-lookup", daemon=True).start()
    return await answer


def _asked(name: str) -> list[str] | OSError:
    try:
        # As bytes: text would be encoded anew, by older rules for international names.
        found = socket.getaddrinfo(name.encode("ascii"), None, type=socket.SOCK_STREAM)
    except OSError as problem:
        return problem
    return list(dict.fromkeys(str(item[4][0]) for item in found))


async def dial(
    host: Host, port: int, rules: Rules, resolve: Resolve, seconds: float
) -> tuple[socket.socket, Address]:
    """A connected, non-blocking socket, and the address it leads to.

    `seconds` bounds the lookup, and again the attempts to connect. Raises: Refused.
    """
    addresses = [host] if not isinstance(host, str) else await _resolved(host, resolve, seconds)
    allowed, refusal = _sift(addresses, host, port, rules)
    if not allowed:
        assert refusal is not None
        raise refusal
    problem = "it did not answer in time"
    for index, address in enumerate(allowed):
        try:
            # The first ones must leave time for the last one.
            return await _connected(
                address, port, rules, seconds / (len(allowed) - index + 1)
            ), address
        except TimeoutError:
            continue
        except OSError as error:
            problem = (error.strerror or str(error)).lower()
    raise Refused("unreachable", f"{show(host, port)} cannot be reached: {problem}.", 502)


async def _resolved(name: str, resolve: Resolve, seconds: float) -> list[Address]:
    try:
        async with asyncio.timeout(seconds):
            return [parse_address(text) for text in await resolve(name)]
    except TimeoutError as problem:
        raise Refused("unresolved", f"Looking up {name} took too long.", 504) from problem
    except (OSError, ValueError) as problem:
        raise Refused("unresolved", f"There is no host {name}.", 502) from problem


def _sift(
    addresses: Sequence[Address], host: Host, port: int, rules: Rules
) -> tuple[list[Address], Refused | None]:
    """The addresses that may be dialled, and why the first of the others may not."""
    allowed: list[Address] = []
    refusal: Refused | None = None
    for address in addresses:
        try:
            rules.check_address(host, address, port)
            allowed.append(address)
        except Refused as refused:
            refusal = refusal or refused
    if not addresses:
        refusal = Refused("unresolved", f"{host} has no address.", 502)
    return allowed[:MAX_ADDRESSES], refusal


async def _connected(address: Address, port: int, rules: Rules, seconds: float) -> socket.socket:
    """Raises: OSError, TimeoutError; Refused when the address is this machine's own."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await _connect(sock, (str(address), port), seconds)
        if sock.getsockname()[0] == sock.getpeername()[0] and not rules.lists(address, port):
            sentence = f"{address} is this machine itself, which is not on the list."
            raise Refused("address", sentence)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect(sock: socket.socket, place: tuple[str, int], seconds: float) -> None:
    """Raises: OSError, TimeoutError."""
    with contextlib.suppress(BlockingIOError):
        sock.connect(place)
        return
    try:
        sock.getpeername()  # where the server is near it is connected by now, without a wait
    except OSError:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().sock_connect(sock, place)
