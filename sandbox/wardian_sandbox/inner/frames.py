"""Frames of the control channel: four bytes of length, then that much JSON, an object."""

from __future__ import annotations

import json

from wardian_sandbox.inner.values import as_object

MAX_FRAME_BYTES = 32 << 20


class BadFrame(Exception):
    """The peer sent what is no frame; nothing after it can be trusted."""


def pack(message: dict[str, object]) -> bytes:
    """The frame that carries `message`."""
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    return len(body).to_bytes(4, "big") + body


class FrameReader:
    """Takes bytes as they come and gives the messages they complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, object]]:
        """The messages completed by `data`. Raises: BadFrame."""
        buffer = self._buffer
        buffer += data
        messages: list[dict[str, object]] = []
        start = 0
        while len(buffer) - start >= 4:
            end = start + 4 + int.from_bytes(buffer[start : start + 4], "big")
            if end - start > MAX_FRAME_BYTES:
                raise BadFrame(f"a frame of {end - start} bytes")
            if len(buffer) < end:
                break
            messages.append(_parse(bytes(buffer[start + 4 : end])))
            start = end
        if start:
            del buffer[:start]
        return messages


def _parse(body: bytes) -> dict[str, object]:
    try:
        return as_object(json.loads(body))
    except (ValueError, TypeError, RecursionError) as problem:
        raise BadFrame(f"not a JSON object: {problem}") from problem
