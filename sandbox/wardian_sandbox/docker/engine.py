"""Docker's API over its unix socket, as far as boxes need it.

Source: Docker Engine API 1.41. Spoken with the standard library: importing the `docker` package
takes 180 ms here and http.client 25, and what the package gives for an attached container is a
stream whose socket has to be dug out of it.
"""

import asyncio
import json
import os
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import urlencode

from wardian_sandbox.docker.problems import DockerError, explain, no_daemon

DEFAULT_SOCKET = Path("/var/run/docker.sock")
UNIX = "unix://"
TIMEOUT_SECONDS = 30.0
BUILD_SECONDS = 3600.0
MAX_HEAD_BYTES = 64 << 10


class Answer(Protocol):
    """What is needed of http.client's response."""

    @property
    def status(self) -> int: ...

    def read(self) -> bytes: ...

    def readline(self) -> bytes: ...


class Engine:
    """One Docker engine. Holds nothing: each request has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        seconds: float = TIMEOUT_SECONDS,
        **query: object,
    ) -> Any:
        """What the engine answers, without blocking the event loop. Raises: DockerError."""
        working = asyncio.ensure_future(
            asyncio.to_thread(lambda: self.call(method, path, body=body, seconds=seconds, **query))
        )
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            # What was asked is done all the same, and whoever clears up must find it done.
            await asyncio.wait((working,))
            raise

    def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        seconds: float = TIMEOUT_SECONDS,
        **query: object,
    ) -> Any:
        """The JSON that the engine answers. Raises: DockerError, with the status it gave."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        with self._answer(method, path, query, data, headers, seconds) as answer:
            return _parsed(answer.read())

    def read(self, path: str, **query: object) -> bytes:
        """What the engine answers, as it is. Raises: DockerError."""
        with self._answer("GET", path, query, None, {}, TIMEOUT_SECONDS) as answer:
            return answer.read()

    def progress(
        self, method: str, path: str, body: IO[bytes], *, media: str, **query: object
    ) -> Iterator[dict[str, Any]]:
        """Send `body`, and give the lines of progress as they come. Raises: DockerError."""
        headers = {"Content-Type": media, "Transfer-Encoding": "chunked"}
        with self._answer(method, path, query, body, headers, BUILD_SECONDS) as answer:
            while line := answer.readline():
                if line.strip():
                    yield _parsed(line)

    async def attach(self, container: str) -> socket.socket:
        """A connected socket of the container's standard streams. Raises: DockerError."""
        attaching = asyncio.ensure_future(asyncio.to_thread(self._attach, container))
        try:
            return await asyncio.shield(attaching)
        except asyncio.CancelledError:
            await asyncio.wait((attaching,))
            if attaching.exception() is None:
                attaching.result().close()
            raise

    def _attach(self, container: str) -> socket.socket:
        query = urlencode({"stream": 1, "stdin": 1, "stdout": 1, "stderr": 1})
        request = (
            f"POST /containers/{container}/attach?{query} HTTP/1.1\r\n"
            "Host: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
        sock = self._connect(TIMEOUT_SECONDS)
        try:
            sock.sendall(request.encode())
            # Byte by byte: what follows the head is the container's, and belongs to the reader.
            head = b""
            while not head.endswith(b"\r\n\r\n") and len(head) < MAX_HEAD_BYTES:
                byte = sock.recv(1)
                if not byte:
                    break
                head += byte
            status = head.split(b" ", 2)[1:2]
            if status != [b"101"]:
                raise DockerError(
                    int(status[0]) if status else 0, "the container cannot be attached to"
                )
            sock.settimeout(None)
            return sock
        except BaseException:
            sock.close()
            raise

    def _connect(self, seconds: float) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(seconds)
        try:
            sock.connect(str(self.path))
        except OSError as problem:
            sock.close()
            raise no_daemon(self.path, problem) from problem
        return sock

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        query: dict[str, object],
        body: bytes | IO[bytes] | None,
        headers: dict[str, str],
        seconds: float,
    ) -> Generator[Answer]:
        import http.client  # 10 ms that runs without containers need not wait for

        connection = http.client.HTTPConnection("docker", timeout=seconds)
        connection.sock = self._connect(seconds)
        target = f"{path}?{urlencode(query, doseq=True)}" if query else path
        try:
            connection.request(
                method,
                target,
                body=body,
                headers=headers,
                encode_chunked="Transfer-Encoding" in headers,
            )
            answer = connection.getresponse()
            if answer.status >= 400:
                raise explain(answer.status, _message(answer.read()))
            yield answer
        except (OSError, http.client.HTTPException) as problem:
            raise no_daemon(self.path, problem) from problem
        finally:
            connection.close()


def find_engine() -> Engine:
    """The engine of this machine that DOCKER_HOST names, or the usual one.

    Raises: SandboxUnavailable when it is on another machine.
    """
    host = os.environ.get("DOCKER_HOST", "")
    if not host:
        return Engine(DEFAULT_SOCKET)
    if not host.startswith(UNIX):
        raise DockerError(
            0,
            f"DOCKER_HOST is {host}, but the sandbox needs an engine of this machine.",
            "Unset DOCKER_HOST, or set it to unix:///var/run/docker.sock.",
        )
    return Engine(Path(host.removeprefix(UNIX)))


def _parsed(body: bytes) -> Any:
    if not body.strip():
        return {}
    try:
        return json.loads(body)
    except ValueError as problem:
        raise DockerError(0, f"Docker answered what is no JSON ({body[:80]!r})") from problem


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:500].decode(errors="replace")
