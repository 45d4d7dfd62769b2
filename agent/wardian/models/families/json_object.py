"""Calls written as JSON objects that hold a name and arguments: `{"name": …, "arguments": {…}}`."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from wardian.models.families.family import Heard, Reading, Schemas, Terminals, WrittenCall
from wardian.models.families.source import Source, ends_in_escape

_JSON_PIECE = re.compile(r'\\.|["{}\[\],:<]|\s+|[^\\"{}\[\],:\s<]+', re.DOTALL)
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]{1,100})"')


def read_object(source: Source, heard: Heard, *closes: str) -> Reading:
    """One object, then everything up to a closing marker, which should be nothing but blanks."""
    reader = ObjectReader()
    yield from _read_into(reader, source, heard)
    rest, _ = yield from source.text_up_to(*closes)
    end_object(reader, heard, rest)


def read_objects(source: Source, heard: Heard) -> Reading:
    """A JSON list of objects, its `[` already read."""
    while True:
        yield from source.blanks()
        if (yield from source.begins("]")) or not source.pending:
            return
        reader = ObjectReader()
        yield from _read_into(reader, source, heard)
        if not reader.is_whole:
            rest, _ = yield from source.text_up_to("]")
            end_object(reader, heard, rest)
            return
        end_object(reader, heard, "")
        yield from source.blanks()
        found = yield from source.begins(",", "]")
        if found != ",":
            return


def _read_into(reader: "ObjectReader", source: Source, heard: Heard) -> Reading:
    while reader.is_open:
        source.take(reader.feed(source.pending))
        stream_object(reader, heard)
        if reader.is_open:
            if source.is_over:
                reader.feed_rest(source.take(len(source.pending)))
                return
            yield


def stream_object(reader: "ObjectReader", heard: Heard) -> None:
    """Pass on what is certain: arguments, once the name is known."""
    if reader.name is None or reader.is_quoted or not (reader.fresh or not reader.announced):
        return
    if not reader.announced:
        heard.begin_call(reader.name)
        reader.announced = True
    heard.add_arguments(reader.fresh)
    reader.fresh = ""


def end_object(reader: "ObjectReader", heard: Heard, rest: str) -> None:
    """End the call; `rest` is what stood after its object."""
    if reader.is_whole and not rest.strip():
        heard.end_call(reader.name or "", reader.arguments)
        return
    raw = (reader.text + rest).strip()
    found = _NAME.search(raw)
    heard.end_call(found[1] if found else "", raw)


class ObjectReader:
    """Reads one JSON object as it arrives: its `name`, and the text of its `arguments`."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.announced = False
        self.fresh = ""
        """Text of the arguments not streamed yet."""
        self.is_open = True
        """More belongs to the object; False also where the text is no object."""
        self._parts: list[str] = []
        self._arguments: list[str] = []
        self._depth = 0
        self._in_string = False
        self._key = ""
        self._at_value = False
        self._string: list[str] = []
        self._failed = False

    @property
    def is_whole(self) -> bool:
        return not self.is_open and not self._failed and self.name is not None

    @property
    def is_quoted(self) -> bool:
        """The arguments are (or may yet be) a string that holds JSON."""
        return not self._arguments or self._arguments[0] == '"'

    @property
    def text(self) -> str:
        return "".join(self._parts)

    @property
    def arguments(self) -> str:
        """As written; a string that holds JSON is taken out of its quotes."""
        written = "".join(self._arguments).strip()
        if written.startswith('"'):
            try:
                inner: Any = json.loads(written)
            except ValueError:
                return written
            return str(inner)
        return written or "{}"

    def feed(self, text: str) -> int:
        """How many characters of the text belong to the object, or were read in vain."""
        usable = len(text) - (1 if ends_in_escape(text) else 0)
        for piece in _JSON_PIECE.finditer(text, 0, usable):
            if not self._in_string and self._is_foreign(piece[0]):
                self._failed, self.is_open = True, False
                return piece.start()
            self._parts.append(piece[0])
            self._read(piece[0])
            if not self.is_open:
                return piece.end()
        return usable

    def _is_foreign(self, piece: str) -> bool:
        """No part of an object: a closing marker that came too early, or no object at all."""
        return piece == "<" or (self._depth == 0 and piece != "{" and not piece.isspace())

    def feed_rest(self, text: str) -> None:
        """The end of a text that was cut inside the object."""
        self._parts.append(text)

    def _read(self, piece: str) -> None:
        if self._in_string:
            self._read_in_string(piece)
        elif piece == '"':
            self._in_string, self._string = True, []
            self._keep(piece)
        elif piece in ("{", "["):
            self._open(piece)
        elif piece in ("}", "]"):
            self._depth -= 1
            if self._depth <= 0:
                self.is_open = False
            else:
                self._keep(piece)
        elif self._depth == 1 and piece == ":" and not self._at_value:
            self._key, self._at_value = "".join(self._string), True
        elif self._depth == 1 and piece == ",":
            self._at_value = False
        else:
            self._keep(piece)

    def _read_in_string(self, piece: str) -> None:
        self._keep(piece)
        if piece != '"':
            if self._depth == 1:
                self._string.append(piece)
            return
        self._in_string = False
        if self._depth == 1 and self._at_value and self._key in ("name", "function"):
            self.name = _unescaped("".join(self._string))

    def _open(self, piece: str) -> None:
        self._depth += 1
        if self._depth > 1:
            self._keep(piece)

    def _keep(self, piece: str) -> None:
        if self._at_value and self._key in ("arguments", "parameters"):
            if not self._arguments and piece.isspace():
                return
            self._arguments.append(piece)
            self.fresh += piece


def as_object(call: WrittenCall, key: str = "arguments") -> str:
    return f'{{"name": {json.dumps(call.name, ensure_ascii=False)}, "{key}": {call.json}}}'


def object_rules(
    schemas: Schemas, terminals: Terminals, *, key: str = "arguments", more: str = ""
) -> str:
    """Lark: `call_object` is one call as `as_object` writes it. `more` goes in before the `}`."""
    lines = ["call_object: " + " | ".join(f"call_{i}" for i in range(len(schemas)))]
    for i, (name, schema) in enumerate(schemas.items()):
        head = json.dumps(f'{{"name": {json.dumps(name)}, "{key}": ')
        value = terminals.json(arguments_schema(schema), name)
        lines.append(f'call_{i}: {head} arguments_{i} {more} "}}"')
        lines.append(f"arguments_{i}: {value}")
    return "\n".join(lines) + "\n"


def arguments_schema(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A tool without parameters takes none."""
    if "$ref" in parameters or "additionalProperties" in parameters:
        return {"type": "object", **parameters}
    return {"type": "object", "properties": {}, **parameters}


def listed(calls: Sequence[WrittenCall]) -> str:
    return "[" + ", ".join(as_object(call) for call in calls) + "]"


def _unescaped(inside: str) -> str:
    try:
        return str(json.loads(f'"{inside}"'))
    except ValueError:
        return inside
