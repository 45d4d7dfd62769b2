"""The supervisor's end of the control channel, however the host reaches it.

An inherited descriptor (bubblewrap), a unix socket to connect to (Docker), or this process's own
standard streams (gVisor, whose guests cannot connect to the host's sockets).
"""

from __future__ import annotations

import os
import select

from wardian_sandbox.inner.sockets import AF_UNIX, MSG_DONTWAIT, SOCK_STREAM, Socket

STREAMS = "-"
"""Names standard input and output."""


class Streams:
    """Standard input and output as one channel; what a `Socket` can do of it."""

    def __init__(self) -> None:
        # Moved out of the way, since 0 to 2 are soon given to /dev/null.
        self._input, self._output = os.dup(0), os.dup(1)

    def fileno(self) -> int:
        return self._input

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Raises: BlockingIOError when there is nothing and `flags` says not to wait."""
        if flags & MSG_DONTWAIT and not select.select([self._input], [], [], 0)[0]:
            raise BlockingIOError
        return os.read(self._input, size)

    def sendall(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._output, left) :]


def open_control(name: str) -> Socket | Streams:
    """The channel called `name`: a descriptor's number, the path of a socket, or STREAMS."""
    if name == STREAMS:
        return Streams()
    if name.isdecimal():
        os.set_inheritable(int(name), False)
        return Socket(fileno=int(name))
    control = Socket(AF_UNIX, SOCK_STREAM)
    control.connect(name)
    return control
