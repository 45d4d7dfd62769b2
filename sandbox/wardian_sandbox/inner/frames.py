"""Frames of the control channel: four bytes of length, then that much JSON, an object.

Both ends hold the other to bounds: of bytes before anything is kept, of brackets and commas before
anything is built, of depth after. Numbers are finite and text is valid Unicode.
"""

from __future__ import annotations

import json
import math
import re

from wardian_sandbox.inner.values import as_object, maybe_list, maybe_object

MAX_FRAME_BYTES = 32 << 20
MAX_VALUES = 1 << 20
MAX_DEPTH = 32
TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
"""A JSON string, also one that does not end: so that each byte is looked at once."""
SEPARATORS = (b"[", b"{", b",")


class BadFrame(Exception):
    """The peer sent what is no frame; nothing after it can be trusted."""


def pack(message: dict[str, object]) -> bytes:
    """The frame that carries `message`."""
    body = ENCODER.encode(message).encode("ascii")
    return len(body).to_bytes(4, "big") + body


class FrameReader:
    """Takes bytes as they come and gives the messages they complete."""

    def __init__(self, any_text: bool = False) -> None:
        """`any_text` takes lone surrogates too, as a host that a model talks to may send."""
        self._buffer = bytearray()
        self._any_text = any_text

    def feed(self, data: bytes | memoryview) -> list[dict[str, object]]:
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
            messages.append(parse(bytes(buffer[start + 4 : end]), any_text=self._any_text))
            start = end
        if start:
            del buffer[:start]
        return messages


def parse(body: bytes, most_values: int = MAX_VALUES, any_text: bool = False) -> dict[str, object]:
    """The JSON object in `body`, within bounds. Raises: BadFrame."""
    # No more values than bytes: most frames are known for small without a look.
    is_long = len(body) > most_values and _count(body) > most_values
    if is_long and _count(TEXT.sub(b"", body)) > most_values:
        raise BadFrame(f"more than {most_values} values")
    try:
        message = as_object(DECODER.decode(body.decode()))
        if not _is_plain(body):
            _check(message, any_text)
    except (ValueError, TypeError, RecursionError) as problem:
        raise BadFrame(f"not a JSON object as it should be: {str(problem)[:200]}") from problem
    return message


def _is_plain(body: bytes) -> bool:
    """Can it be neither too deep nor hold what is no Unicode?"""
    return body.count(b"[") + body.count(b"{") <= MAX_DEPTH and b"\\u" not in body


def _count(body: bytes) -> int:
    """About how many values there are; text that has such signs in it counts too."""
    return sum(body.count(sign) for sign in SEPARATORS)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _check(message: object, any_text: bool) -> None:
    """Raises: ValueError when it is too deep, UnicodeError when text has lone surrogates."""
    level: list[object] = [message]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for value in level:
            if isinstance(value, str):
                if not (any_text or value.isascii()):
                    value.encode()
            elif (members := maybe_object(value)) is not None:
                below += [*members.keys(), *members.values()]
            elif (items := maybe_list(value)) is not None:
                below += items
        if not below:
            return
        level = below
    raise ValueError(f"deeper than {MAX_DEPTH}")


ENCODER = json.JSONEncoder(separators=(",", ":"))
DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
