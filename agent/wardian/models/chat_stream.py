"""From the body of a chat-completions response to deltas, whatever shape it comes in."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from wardian.models.accumulate import Accumulator, ReplyTooLarge, parse_chunks
from wardian.models.http_endpoint import HttpResponse
from wardian.models.sse import DONE, EventParser, EventTooLarge
from wardian.types import Delta

WHOLE_REPLY_LIMIT_BYTES = 32 * 1024 * 1024
WHOLE_REPLY_SECONDS = 3600.0
"""For a server that ignores `stream`; the idle timeout still bounds each piece."""


class NotAStream(Exception):
    """What came is no chat completion, and nothing was said before it. `body` is its beginning."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body[:200])
        self.body = body[:65536]


class ErrorInStream(Exception):
    """The server sent an error instead of a first token. `body` is the error as JSON."""

    def __init__(self, chunk: dict[str, Any]) -> None:
        self.body = json.dumps(chunk).encode()
        super().__init__(self.body[:200])


async def read_deltas(response: HttpResponse, heard: Accumulator) -> AsyncGenerator[Delta]:
    """The deltas of a body, until it is done, broken, or no longer makes sense.

    What makes no sense after the first delta ends the reply as a cut.
    Raises: NotAStream, ErrorInStream, HttpFailure.
    """
    try:
        async with aclosing(_read_payloads(response)) as batches:
            async for payloads in batches:
                for delta in _take(payloads, heard):
                    yield delta
    except (NotAStream, ErrorInStream, EventTooLarge, ReplyTooLarge) as e:
        if heard.is_empty:
            raise e if isinstance(e, NotAStream | ErrorInStream) else NotAStream(b"") from e
        heard.finish_reason = None  # whatever was said before, this is not the end it meant


async def _read_payloads(response: HttpResponse) -> AsyncGenerator[list[bytes]]:
    """The JSON texts in the body, as they come. Raises: NotAStream, EventTooLarge."""
    content_type = response.headers.get("content-type", "").lower()
    if content_type.startswith("text/html"):
        raise NotAStream(await response.read(65536, 10.0))
    if content_type.startswith("application/json"):
        body = await response.read(WHOLE_REPLY_LIMIT_BYTES, WHOLE_REPLY_SECONDS)
        yield [body] if body.strip() else []
        return
    parser = EventParser()
    head = b""
    async for chunk in response.chunks:
        head = head or chunk
        payloads = parser.feed(chunk)
        yield payloads
        if payloads and payloads[-1] == DONE:
            await response.drain()
            return
    last = parser.finish()
    if head.strip() and not parser.has_given:
        raise NotAStream(head)
    yield [payload for payload in last if _is_whole(payload)]


def _is_whole(payload: bytes) -> bool:
    """Did the event that ends a broken-off stream come through complete?"""
    try:
        parse_chunks(payload)
    except ValueError:
        return False
    return True


def _take(payloads: list[bytes], heard: Accumulator) -> list[Delta]:
    """What these events add. Raises: NotAStream, ErrorInStream, ReplyTooLarge."""
    deltas: list[Delta] = []
    for payload in payloads:
        if payload == DONE:
            heard.end()
            break
        try:
            chunks = parse_chunks(payload)
        except ValueError as e:
            raise NotAStream(payload) from e
        for chunk in chunks:
            if chunk.get("error"):
                raise ErrorInStream(chunk)
            deltas += heard.add(chunk)
    return deltas
