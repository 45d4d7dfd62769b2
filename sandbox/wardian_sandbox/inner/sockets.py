"""Unix sockets as the C module has them.

`socket` itself would cost every start of a box 3 ms, for enumerations and for `selectors`. Code in
the box that wants it imports it.
"""

from __future__ import annotations

import _socket
import array
from _socket import (
    AF_UNIX,
    CMSG_LEN,
    MSG_DONTWAIT,
    SCM_RIGHTS,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOL_SOCKET,
    socketpair,
)

__all__ = [
    "AF_UNIX",
    "MSG_DONTWAIT",
    "SOCK_SEQPACKET",
    "SOCK_STREAM",
    "Socket",
    "receive_fds",
    "send_fds",
    "socketpair",
]

Socket = _socket.socket


def send_fds(sock: Socket, data: bytes, fds: list[int], flags: int = 0) -> None:
    """One message, descriptors with it. Raises: OSError."""
    sock.sendmsg([data], [(SOL_SOCKET, SCM_RIGHTS, array.array("i", fds))], flags)


def receive_fds(sock: Socket, size: int, most_fds: int) -> tuple[bytes, list[int]]:
    """The next message, and the descriptors that came with it. Raises: OSError."""
    fds = array.array("i")
    data, ancillary, _, _ = sock.recvmsg(size, CMSG_LEN(most_fds * fds.itemsize))
    for level, kind, content in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)
