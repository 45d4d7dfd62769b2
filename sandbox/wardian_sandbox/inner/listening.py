"""The way out of a box that has one: a socket on its loopback, which the host accepts from."""

from __future__ import annotations

import os

from wardian_sandbox.inner.sockets import Socket, send_fds

ADDRESS = ("127.0.0.1", 3128)
MARK = b"L"
"""Goes with the socket, before any frame."""
BACKLOG = 128
PATIENCE_SECONDS = 10
URL = f"http://{ADDRESS[0]}:{ADDRESS[1]}"
INSIDE = "localhost,127.0.0.1,::1"
"""Reached directly: servers that code in the box starts for itself."""
PROXIED = ("http_proxy", "https_proxy", "all_proxy")


def hand_over(control: object) -> None:
    """Listen, give the socket to the host, and keep nothing of it.

    While the host has it nobody inside can listen there. Done before any code of the guest runs.
    """
    import socket

    assert isinstance(control, Socket), "the host asks for it over unix sockets only"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(ADDRESS)
        # Whoever says nothing costs nothing, and who speaks is heard at once.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, PATIENCE_SECONDS)
        listener.listen(BACKLOG)
        send_fds(control, MARK, [listener.fileno()])


def tell_programs() -> None:
    """Point what this process starts at the proxy, in every spelling that is in use."""
    for name, value in (*((name, URL) for name in PROXIED), ("no_proxy", INSIDE)):
        os.environ[name] = os.environ[name.upper()] = value
