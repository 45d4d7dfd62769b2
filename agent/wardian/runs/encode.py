"""Events to JSON and back.

A line of the log is one JSON object with its keys in this order:

    {"seq": 7, "wall": "2026-…Z", "mono": 1.25, "kind": "noted", "crc": "1a2b…", "data": {…}}

`crc` is the CRC-32 of the bytes of `data` as they stand in the line, so that a flipped byte is
noticed and costs that record only. A string of more than `BLOB_CHARS` is kept beside the log and
stands in the line as `{"$blob": "<sha256>", "bytes": n}`; an object that really has a `$blob` key
is wrapped as `{"$object": {…}}`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, cast, get_args
from zlib import crc32

from wardian.events import Recorded, RunStarted
from wardian.runs.begun import misfit

BLOB_CHARS = 32_768
SCHEMA = "wardian.run/1"
"""Name and major version. A reader refuses a newer major version and keeps unknown kinds."""

KINDS: dict[str, type[Recorded]] = {kind.kind: kind for kind in get_args(Recorded)}

SaveBlob = Callable[[str], dict[str, Any]]
LoadBlob = Callable[[dict[str, Any]], str]


_fields_of: dict[type, tuple[str, ...]] = {}


def _plain(value: object) -> object:
    """A dataclass by field, not going deeper; a set as a sorted list."""
    kind = type(value)
    if isinstance(value, frozenset):
        return sorted(str(item) for item in cast("frozenset[object]", value))
    if kind not in _fields_of:
        if not is_dataclass(kind):
            raise TypeError(f"{kind.__name__} cannot be stored in a trajectory")
        _fields_of[kind] = tuple(f.name for f in fields(kind) if f.init)
    return {name: getattr(value, name) for name in _fields_of[kind]}


def encode(value: object, save_blob: SaveBlob) -> bytes:
    """`value` as one line of JSON, long strings as blobs."""
    quick = dumps(value)
    # Small lines without our own markers, that is nearly all of them, need no walk in Python.
    if len(quick) <= BLOB_CHARS and b'"$blob"' not in quick and b'"$object"' not in quick:
        return quick
    return dumps(to_json(value, save_blob))


def to_json(value: object, save_blob: SaveBlob) -> object:
    """`value` as plain JSON: dataclasses by field, tuples as arrays, long strings as blobs."""
    if isinstance(value, str):
        return save_blob(value) if len(value) > BLOB_CHARS else str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        plain = {str(k): to_json(v, save_blob) for k, v in mapping.items()}
        return {"$object": plain} if "$blob" in plain or "$object" in plain else plain
    if isinstance(value, Sequence):
        return [to_json(item, save_blob) for item in cast("Sequence[object]", value)]
    return to_json(_plain(value), save_blob)


def from_json(value: object, load_blob: LoadBlob) -> object:
    """The JSON value with its blobs put back."""
    if isinstance(value, list):
        return [from_json(item, load_blob) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        if "$blob" in mapping:
            return load_blob(mapping)
        if mapping.keys() == {"$object"}:
            mapping = mapping["$object"]
        return {k: from_json(v, load_blob) for k, v in mapping.items()}
    return value


_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
).encode
_encode_ascii = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain).encode


def dumps(value: object) -> bytes:
    """Compact UTF-8 JSON; lone surrogates, which UTF-8 cannot hold, are escaped."""
    try:
        return _encode(value).encode()
    except UnicodeEncodeError:
        return _encode_ascii(value).encode()


def line(seq: int, wall: str, mono: float, kind: str, data: bytes) -> bytes:
    """One record with its line end."""
    head = f'{{"seq":{seq},"wall":"{wall}","mono":{mono:.6f},"kind":"{kind}"'
    return b'%b,"crc":"%08x","data":%b}\n' % (head.encode(), crc32(data), data)


def schema_of(header: object) -> str:
    """What a header says of the format of its log; empty where it says nothing."""
    fields = cast("dict[str, Any]", header) if isinstance(header, dict) else {}
    return str(fields.get("schema", ""))


def is_newer(header: object) -> bool:
    """Was a log with this header written by a version whose meaning we cannot know?"""
    major = schema_of(header).partition("/")[2].split(".")[0]
    return major.isdecimal() and int(major) > int(SCHEMA.partition("/")[2])


class BadLine(Exception):
    """A line that is not a record; the message says how."""


def parse_line(text: bytes) -> dict[str, Any]:
    """The record of a line as its JSON object, checksum verified.

    Raises: BadLine.
    """
    try:
        loaded: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadLine(f"not JSON ({type(error).__name__})") from error
    record = cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}
    if not {"seq", "kind", "data"} <= record.keys():
        raise BadLine("not a record")
    if "crc" in record:
        start = text.find(b'"data":') + len(b'"data":')
        if f"{crc32(text[start:].rstrip()[:-1]):08x}" != record["crc"]:
            raise BadLine("checksum does not match")
    return record


@cache
def _validators() -> dict[str, Callable[[object], Recorded]]:
    from pydantic import TypeAdapter

    return {name: TypeAdapter(kind).validate_python for name, kind in KINDS.items()}


def to_event(kind: str, data: object) -> Recorded | None:
    """The typed event, or None for a kind this version does not know.

    Raises: BadLine when the data does not fit the kind.
    """
    if kind not in KINDS:
        return None
    try:
        event = _validators()[kind](data)
    except ValueError as error:
        problem = str(error).splitlines()[0]
        raise BadLine(f"does not fit {kind}: {problem}") from error
    if isinstance(event, RunStarted) and (table := misfit(event)):
        raise BadLine(f"does not fit {kind}: {table}")
    return event
