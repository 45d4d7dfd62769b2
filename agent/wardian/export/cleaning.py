"""What rows are left out of a dataset: those that stand there already, and those that give tests
away."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from wardian.export.overlap import NearDuplicates, Overlap
from wardian.export.rows import Row

DIGEST_BYTES = 16
SKIPPED = {
    *("tools", "tool_definitions", "provenance"),
    *("role", "from", "source", "type", "name", "function_name"),
    *("id", "run_id", "session_id", "trajectory_id", "tool_call_id", "source_call_id"),
}
"""Keys whose texts are the same in every row, or name it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """Beside identical rows, which are always left out."""

    near: float | None = None
    """Leave out rows that share this much or more with an earlier one, from 0 to 1"""
    protected: Overlap | None = None
    """Leave out rows that give these texts away"""


class Sieve:
    """Keeps 16 bytes of each row, and what telling near duplicates takes."""

    def __init__(self, cleaning: Cleaning) -> None:
        """Raises: ConfigurationError where datasketch is wanted and not installed."""
        self._seen: set[bytes] = set()
        self._near = NearDuplicates(cleaning.near) if cleaning.near is not None else None
        self._protected = cleaning.protected

    def reason(self, row: Row, line: bytes) -> str:
        """Why to leave the row out; empty to take it. `line` is the row as it will stand there."""
        digest = hashlib.sha256(line).digest()[:DIGEST_BYTES]
        if digest in self._seen:
            return "duplicate"
        self._seen.add(digest)
        if self._protected and self._protected.find(said(row)):
            return "contaminated"
        if self._near and not self._near.is_new("\n".join(said(row))):
            return "near duplicate"
        return ""


def texts(value: object) -> Iterator[str]:
    """Every text in a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            yield key
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in cast("list[object]", value):
            yield from texts(item)


def said(value: object) -> Iterator[str]:
    """What a row says, without its keys, its tools and its system prompt."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        row = cast("dict[str, object]", value)
        if "system" in (row.get("role"), row.get("source"), row.get("from")):
            return
        for key, item in row.items():
            if key not in SKIPPED:
                yield from said(item)
    elif isinstance(value, list | tuple):
        for item in cast("list[object]", value):
            yield from said(item)
