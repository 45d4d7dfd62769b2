"""What the worker says came of a cell: how it is sent, and how much of it is taken.

All of it is the guest's word. The supervisor keeps its parts within bounds, and never looks inside
a figure.
"""

from __future__ import annotations

import struct

from wardian_sandbox.inner.values import as_number

NONCE_BYTES = 16
LIMITS = struct.Struct("!QQ")
"""After the nonce of a request: seconds of processor time, bytes of text."""
CHUNK_BYTES = 32 << 10
"""Of a packet's content; a packet is a mark, the nonce, and content."""
INLINE_BYTES = 8 << 10
"""A cell of at most so many goes in the packet itself, a longer one by descriptor."""
BURY = b"-"
"""In the place of a request: what is dead is to be reaped."""
PARTS = b"+"
LAST = b"."
FIGURE_PARTS = b"f"
FIGURE_LAST = b"F"

CLAIM_BYTES = 256 << 10
"""Room for what is not text of the cell, besides what its text may take when escaped."""
ESCAPED = 16
MAX_FIGURES = 8
MAX_FIGURE_BYTES = 2 << 20
MARKER_CHARACTERS = 100
"""Room for saying that something was left out."""


class Claim:
    """The parts of a claim, as they come in."""

    def __init__(self, text_bytes: int) -> None:
        self._most_bytes = ESCAPED * text_bytes + CLAIM_BYTES
        self.body = bytearray()
        self.figures: list[bytes] = []
        self._figure = bytearray()

    def takes(self, mark: bytes, content: bytes) -> bool:
        """Keep a part; False when there is more than a claim may have."""
        if mark in (FIGURE_PARTS, FIGURE_LAST):
            self._figure += content
            if mark == FIGURE_LAST:
                self.figures.append(bytes(self._figure))
                self._figure.clear()
            return len(self.figures) <= MAX_FIGURES and len(self._figure) <= MAX_FIGURE_BYTES
        self.body += content
        return len(self.body) <= self._most_bytes


def checked(claim: dict[str, object], limit: int) -> dict[str, object]:
    """The parts of a claim that are of the right type and size, and valid Unicode."""
    parts: dict[str, object] = {}
    for name in ("value", "error", "json"):
        text = claim.get(name)
        if isinstance(text, str):
            whole = text.encode("utf-8", "replace").decode("utf-8")
            parts[name] = whole[: limit + MARKER_CHARACTERS]
    if isinstance(claim.get("exit_code"), int):
        parts["exit_code"] = as_number(claim["exit_code"]) & 0xFF
    return parts
