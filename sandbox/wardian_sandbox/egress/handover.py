"""The listening socket of a box, taken from its supervisor before anything else is said."""

import asyncio
import socket

from wardian_sandbox.errors import SandboxLost
from wardian_sandbox.inner.listening import ADDRESS, MARK


async def receive_listener(control: socket.socket) -> socket.socket:
    """The socket that clients in the box connect to; it lives in the box's own network.

    `control` is a connected, non-blocking unix socket that nobody else reads yet.
    Raises: SandboxLost when something else comes.
    """
    await _readable(control)
    data, descriptors, flags, _ = socket.recv_fds(control, len(MARK), 1, socket.MSG_CMSG_CLOEXEC)
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    if data == MARK and len(sockets) == 1 and not flags & socket.MSG_CTRUNC:
        listener = sockets[0]
        if _is_listener(listener):
            listener.setblocking(False)
            return listener
    for sock in sockets:
        sock.close()
    raise SandboxLost("The sandbox did not hand over its way out.", "Open a new sandbox.")


def _is_listener(sock: socket.socket) -> bool:
    return (
        sock.family == socket.AF_INET
        and sock.type == socket.SOCK_STREAM
        and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        and sock.getsockname() == ADDRESS
    )


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)
