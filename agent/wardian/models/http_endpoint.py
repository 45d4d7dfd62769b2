"""HTTP for model clients: a thin layer over httpx2's transports.

Two things are done differently from `httpx2.AsyncClient`:
- Each request takes an idle connection off a stack, or opens one. One shared pool looks at all
  its connections at every request, which at 1,000 agents costs more than the requests do. There
  is no limit on connections but the user's own.
- Nothing of the environment is read except proxy variables, and those never for loopback
  addresses. Redirects are not followed (a key would travel with them), cookies not kept,
  `.netrc` not read.

httpx2 is imported when the first request is made: `agent models list` needs none of it.
"""

import asyncio
import functools
import ipaddress
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

IDLE_SECONDS = 60.0
"""An unused connection is closed after this; most servers close theirs at 60 to 120 s."""


class FailureKind(StrEnum):
    CONNECT = "connect"
    """no connection came about"""
    TIMEOUT = "timeout"
    """nothing arrived for too long"""
    BROKEN = "broken"
    """the connection ended, or what came was not HTTP"""
    REQUEST = "request"
    """the request cannot be sent at all: its URL or headers are wrong"""


class HttpFailure(Exception):
    """The exchange failed below HTTP. `detail` is the transport's own words."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(detail or kind.value)
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response whose body is still to be read."""

    status: int
    headers: Mapping[str, str]
    """names in lower case"""
    chunks: AsyncGenerator[bytes]

    async def read(self, limit_bytes: int, timeout_seconds: float) -> bytes:
        """As much of the body as comes within the limits."""
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(timeout_seconds):
                async for chunk in self.chunks:
                    parts.append(chunk[: limit_bytes - size])
                    size += len(parts[-1])
                    if size >= limit_bytes:
                        break
        except TimeoutError:
            pass
        return b"".join(parts)

    async def drain(self, timeout_seconds: float = 0.5) -> None:
        """Read what little may follow the end of a stream, so that the connection can be kept."""
        await self.read(65536, timeout_seconds)


class _Transport(Protocol):
    async def handle_async_request(self, request: Any) -> Any: ...
    async def aclose(self) -> None: ...


class _Idle:
    """The connections of one event loop that wait for work, least recently used first."""

    def __init__(self) -> None:
        self.transports: deque[tuple[float, _Transport]] = deque()
        self.is_closed = False
        self.closer = self._close_with_loop()

    async def _close_with_loop(self) -> AsyncGenerator[None]:
        """Held open until the loop ends: `asyncio.run` then closes what a caller forgot to."""
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        self.is_closed = True
        while self.transports:
            await self.transports.popleft()[1].aclose()

    async def take_back(self, transport: _Transport) -> None:
        """Keep a connection that is not used for now, and close those kept for too long."""
        if self.is_closed:
            await transport.aclose()
            return
        now = time.monotonic()
        self.transports.append((now, transport))
        while self.transports and self.transports[0][0] < now - IDLE_SECONDS:
            await self.transports.popleft()[1].aclose()


class HttpEndpoint:
    """Requests to one base URL."""

    def __init__(
        self, base_url: str, *, connect_timeout_seconds: float, idle_timeout_seconds: float
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout = {
            "connect": connect_timeout_seconds,
            "read": idle_timeout_seconds,
            "write": idle_timeout_seconds,
            "pool": None,
        }
        self._idle: WeakKeyDictionary[asyncio.AbstractEventLoop, _Idle] = WeakKeyDictionary()

    @asynccontextmanager
    async def request(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes = b""
    ) -> AsyncGenerator[HttpResponse]:
        """The response as soon as its head is there. Raises: HttpFailure, in the body too."""
        import httpx2

        idle = await self._idle_here()
        transport = idle.transports.pop()[1] if idle.transports else self._open()
        try:
            request = httpx2.Request(
                method,
                f"{self.base_url}{path}",
                headers=headers,
                content=body,
                extensions={"timeout": self._timeout},
            )
            response: httpx2.Response = await transport.handle_async_request(request)
            chunks = _chunks(response)
            try:
                yield HttpResponse(response.status_code, response.headers, chunks)
            finally:
                await chunks.aclose()
                await response.aclose()
        except (httpx2.RequestError, httpx2.InvalidURL) as e:
            raise HttpFailure(_kind(e), str(e)) from e
        finally:
            await idle.take_back(transport)

    async def close(self) -> None:
        """Close the running loop's idle connections."""
        idle = self._idle.pop(asyncio.get_running_loop(), None)
        if idle is not None:
            await idle.closer.aclose()

    async def _idle_here(self) -> _Idle:
        loop = asyncio.get_running_loop()
        idle = self._idle.get(loop)
        if idle is None:
            idle = self._idle[loop] = _Idle()
            await anext(idle.closer)
        return idle

    def _open(self) -> _Transport:
        import httpx2

        problem = _url_problem(self.base_url)
        if problem:
            raise HttpFailure(FailureKind.REQUEST, problem)
        proxy = proxy_for(self.base_url)
        if proxy is not None and proxy.startswith("socks") and not find_spec("socksio"):
            raise HttpFailure(FailureKind.REQUEST, "a SOCKS proxy needs the package socksio")
        is_tls = self.base_url.lower().startswith("https:")
        return httpx2.AsyncHTTPTransport(
            verify=_tls_context() if is_tls else _no_tls_context(),
            limits=httpx2.Limits(
                max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_SECONDS
            ),
            proxy=proxy,
            trust_env=False,
        )


async def _chunks(response: Any) -> AsyncGenerator[bytes]:
    """The body's bytes, decoded where the server compressed them unasked."""
    encoding = response.headers.get("content-encoding", "identity")
    body = response.stream if encoding == "identity" else response.aiter_bytes()
    async for chunk in body:
        yield chunk


def _kind(error: Exception) -> FailureKind:
    import httpx2

    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        return FailureKind.CONNECT
    if isinstance(error, httpx2.TimeoutException):
        return FailureKind.TIMEOUT
    if isinstance(
        error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol | httpx2.InvalidURL
    ):
        return FailureKind.REQUEST
    return FailureKind.BROKEN


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """The system's authorities; one for all connections, since loading them takes 20 ms."""
    import httpx2

    return httpx2.create_ssl_context()


@functools.cache
def _no_tls_context() -> ssl.SSLContext:
    """For plain HTTP: trusts nobody, so it could not be used for TLS by mistake."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _url_problem(url: str) -> str:
    """Why no server can be at `url`, so far as its form tells; "" when nothing does."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # read for its range check
    except ValueError as e:
        return str(e)
    if parts.scheme not in ("http", "https"):
        return "the URL does not begin with http:// or https://"
    return "" if parts.hostname else "the URL names no host"


def is_loopback(url: str) -> bool:
    """Does the URL's host name this machine, without asking a name server?"""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(url: str) -> str | None:
    """The proxy the environment names for `url`; never one for a loopback address."""
    import urllib.request

    if is_loopback(url):
        return None
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def without_userinfo(url: str) -> str:
    """The URL fit to be shown: no user, password, query or fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
