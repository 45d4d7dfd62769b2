"""A server over streamable HTTP: the SDK's client, with bounds on what may come back.

Covers: bodies without end, also compressed ones; redirects off the server's own origin (the SDK
follows none). Does not cover: logging in (OAuth); give a token in `headers`.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client

MAX_BODY_BYTES = 32 << 20
"""Of one answer; a stream of events is one answer."""
CONNECT_SECONDS = 15.0
COMPRESSED = "Its answer was compressed, unasked."
TOO_LONG = "Its answer was longer than 32 MiB."
UNTOKENED = (401, 403)
Refused = Callable[[str], None]


@asynccontextmanager
async def streams(
    url: str, headers: Mapping[str, str], read_seconds: float, refused: Refused
) -> AsyncGenerator[Any, None]:
    """The server's messages. Raises: httpx2.HTTPError.

    `refused` is told why an answer was not taken, which the SDK keeps to itself.
    """
    timeout = httpx2.Timeout(CONNECT_SECONDS, read=read_seconds)
    async with (
        httpx2.AsyncClient(
            transport=BoundedTransport(httpx2.AsyncHTTPTransport(), refused),
            headers={"accept-encoding": "identity", **headers},
            timeout=timeout,
        ) as client,
        streamable_http_client(url, http_client=client) as found,
    ):
        yield found


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Refuses what is compressed, and what is longer than MAX_BODY_BYTES."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, refused: Refused) -> None:
        self._inner = inner
        self._refused = refused

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if response.status_code in UNTOKENED:
            self._refused(f"It answered {response.status_code}, as to a wrong or missing token.")
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            self._refused(COMPRESSED)
            raise httpx2.ReadError(COMPRESSED, request=request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = BoundedStream(response.stream, request, self._refused)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class BoundedStream(httpx2.AsyncByteStream):
    """A body, up to MAX_BODY_BYTES."""

    def __init__(
        self, inner: httpx2.AsyncByteStream, request: httpx2.Request, refused: Refused
    ) -> None:
        self._inner = inner
        self._request = request
        self._refused = refused

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._inner:
            size += len(part)
            if size > MAX_BODY_BYTES:
                self._refused(TOO_LONG)
                raise httpx2.ReadError(TOO_LONG, request=self._request)
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()
