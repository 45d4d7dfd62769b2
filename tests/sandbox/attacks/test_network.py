"""Ways to the network from a box that has none."""

import socket
import threading
from collections.abc import Callable

import pytest

from wardian_sandbox import (
    Confinement,
    ExecResult,
    ResourceLimits,
)

Python = Callable[..., list[ExecResult]]
Shell = Callable[..., ExecResult]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))


def test_no_network_is_reached(python: Python) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        attempt = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2).close()"
        server.settimeout(5)
        # The same attempt works on the host.
        thread = threading.Thread(target=exec, args=(attempt,))
        thread.start()
        server.accept()[0].close()
        thread.join()
        result = python(attempt)[0]
    assert "ConnectionRefusedError" in str(result.error)


def test_only_the_loopback_is_there_and_it_works(python: Python) -> None:
    interfaces = "import socket; [l.split(':')[0].strip() for l in [*open('/proc/net/dev')][2:]]"
    outside = "socket.create_connection(('192.0.2.1', 80), 2)"
    inside = (
        "s = socket.create_server(('127.0.0.1', 0)); "
        "c = socket.create_connection(s.getsockname()); c.send(b'hi')"
    )
    named, refused, twin = python(interfaces, outside, inside)
    assert named.value == "['lo']"
    assert "Network is unreachable" in str(refused.error)
    assert twin.value is None or twin.value == "2"
    assert twin.error is None


@pytest.mark.parametrize("family", ["AF_VSOCK", "AF_ALG", "AF_PACKET", "AF_BLUETOOTH"])
def test_sockets_that_pass_network_namespaces_are_refused(python: Python, family: str) -> None:
    code = f"import socket; socket.socket(getattr(socket, {family!r}), socket.SOCK_STREAM)"
    attack, twin = python(code, code.replace(family, "AF_UNIX"))
    assert "Address family not supported" in str(attack.error) or "[Errno 1]" in str(attack.error)
    assert twin.error is None


def test_raw_sockets_are_refused(python: Python) -> None:
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"
    attack, twin = python(code, code.replace("SOCK_RAW, 1", "SOCK_DGRAM, 17"))
    assert "Address family not supported" in str(attack.error) or "[Errno 1]" in str(attack.error)
    assert twin.error is None
