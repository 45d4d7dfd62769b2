"""Rows of a file that anybody may have written.

Takes: a JSON object or a list a line, one JSON document, or a list of documents. A row that is no
JSON, too large, or nested too deeply costs that row only. Nothing that a row names (images, other
trajectories) is opened.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Never, cast

from wardian.errors import StorageError

MAX_ROW_BYTES = 256 << 20
MAX_DEPTH = 100


class Unreadable(Exception):
    """A row that is no run; the message says why, without its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a row stands."""

    path: Path
    number: int
    """From 1"""
    sha256: str
    """Of the row as it stands there"""


def rows_of(path: Path) -> Iterator[tuple[Source, Any]]:
    """Each row, or in its place why it cannot be read (`Unreadable`). Raises: StorageError."""
    try:
        with path.open("rb") as stream:
            for number, raw in enumerate(_lines(stream), start=1):
                digest = hashlib.sha256(raw).hexdigest()
                try:
                    loaded: Any = parsed(raw)
                except Unreadable as problem:
                    loaded = problem
                for place, one in enumerate(_documents(loaded)):
                    source = Source(path=path, number=number + place, sha256=digest)
                    yield source, one
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read: {error.strerror or error}.", "Name another file."
        ) from error


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines; all of it as one where it is a single document over several lines."""
    first = stream.readline(MAX_ROW_BYTES)
    rest = stream.readline(MAX_ROW_BYTES)
    if rest and not _is_json(first):
        yield first + rest + stream.read(MAX_ROW_BYTES)
        return
    for line in (first, rest):
        if line.strip():
            yield line
    while line := stream.readline(MAX_ROW_BYTES):
        if line.strip():
            yield line


def _is_json(line: bytes) -> bool:
    try:
        parsed(line)
    except Unreadable:
        # A line that is broken in itself is one row of many; one that only begins is not.
        return line.strip()[-1:] in (b"}", b"]") and line.strip()[:1] in (b"{", b"[")
    return True


def parsed(raw: bytes) -> Any:
    """The JSON value. Raises: Unreadable."""
    if len(raw) >= MAX_ROW_BYTES:
        raise Unreadable("it is too large")
    try:
        loaded: Any = json.loads(raw, parse_constant=_refuse)
    except RecursionError as error:
        raise Unreadable("it is nested too deeply") from error
    except ValueError as error:
        raise Unreadable("it is no JSON") from error
    level = [loaded]
    for _ in range(MAX_DEPTH):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return loaded
    raise Unreadable("it is nested too deeply")


def _inside(value: object) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()


def _documents(loaded: object) -> list[object]:
    """A list of messages is one document; a list of documents is several."""
    if isinstance(loaded, list):
        items = cast("list[object]", loaded)
        if not items or not all(isinstance(one, dict) and "role" in one for one in items):
            return items
    return [loaded]


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")
