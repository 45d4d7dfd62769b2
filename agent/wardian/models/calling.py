"""Finds reasoning and tool calls in what a model writes, while it writes.

The Hermes and Qwen convention: `<think>…</think>`, then text and
`<tool_call>{"name": …, "arguments": {…}}</tool_call>`, any number of them. A reply that is nothing
but such a JSON object naming a tool (bare, or in a ``` fence) counts as a call too.

A call is passed on as it was written: whether its arguments are JSON, and what the tool asks for,
is judged where calls are validated.
"""

import json
import re
from collections.abc import Collection
from typing import Any

from wardian.types import CallDelta, Delta, ReasoningDelta, TextDelta
from wardian_tools.types import ToolCall

CALL_OPENS, CALL_CLOSES = "<tool_call>", "</tool_call>"
THINK_OPENS, THINK_CLOSES = "<think>", "</think>"
MAX_UNREADABLE_NAME_CHARS = 100

_BARE = re.compile(r"\s*(?:```(?:json)?\s*)?(\{.*\})\s*(?:```\s*)?", re.DOTALL)
_BARE_BEGINS = re.compile(r"(?:```(?:json)?\s*)?\{\s*\"name\"")
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]{1,100})"')
_JSON_PIECE = re.compile(r'\\.|["{}\[\],:<]|\s+|[^\\"{}\[\],:\s<]+', re.DOTALL)


class ReplyParser:
    """Feed it text as it comes; it gives deltas. After `finish`, the attributes hold the whole."""

    def __init__(
        self, tools: Collection[str] = (), *, thinking: bool = False, first_call: int = 1
    ) -> None:
        """`thinking`: the prompt ended inside a reasoning block.

        `first_call`: number of the next call in the conversation; ids are made from it.
        """
        self._tools = frozenset(tools)
        self._first_call = first_call
        self._pending = ""
        self._blanks = ""
        self._texts: list[str] = []
        self._reasonings: list[str] = []
        self._reading = self._think if thinking else self._begin
        self._json = CallReader()
        self.calls: list[ToolCall] = []

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasonings)

    def feed(self, text: str) -> list[Delta]:
        self._pending += text
        deltas: list[Delta] = []
        while (reading := self._reading)(deltas) or reading != self._reading:
            pass
        return deltas

    def finish(self) -> list[Delta]:
        """What was held back. Nothing more may be fed."""
        deltas: list[Delta] = []
        rest, self._pending = self._pending, ""
        if self._reading == self._begin:
            call = self._bare_call(rest)
            if call is not None:
                return self._whole_call(*call)
            self._say(rest, deltas)
        elif self._reading == self._free:
            self._say(rest, deltas)
        elif self._reading == self._think:
            self._reason(rest, deltas)
        else:
            self._end_call(rest, deltas)
        return deltas

    def _begin(self, deltas: list[Delta]) -> bool:
        """At the start of a reply: hold back what may turn out to be a bare call."""
        begun = self._pending.lstrip()
        if not begun:
            return False
        if not self._tools or not _may_be_bare(begun):
            self._reading = self._free
        return False

    def _free(self, deltas: list[Delta]) -> bool:
        markers = (THINK_OPENS, CALL_OPENS) if self._tools else (THINK_OPENS,)
        found = [(at, m) for m in markers if (at := self._pending.find(m)) >= 0]
        if not found:
            ready = len(self._pending) - max(_overlap(self._pending, m) for m in markers)
            self._say(self._pending[:ready], deltas)
            self._pending = self._pending[ready:]
            return False
        at, marker = min(found)
        self._say(self._pending[:at], deltas)
        self._pending = self._pending[at + len(marker) :]
        self._blanks = ""
        self._reading = self._think if marker == THINK_OPENS else self._call
        if marker == CALL_OPENS:
            self._json = CallReader()
        return True

    def _think(self, deltas: list[Delta]) -> bool:
        at = self._pending.find(THINK_CLOSES)
        if at < 0:
            ready = len(self._pending) - _overlap(self._pending, THINK_CLOSES)
            self._reason(self._pending[:ready], deltas)
            self._pending = self._pending[ready:]
            return False
        self._reason(self._pending[:at], deltas)
        self._pending = self._pending[at + len(THINK_CLOSES) :]
        self._blanks = ""
        self._reading = self._begin
        return True

    def _call(self, deltas: list[Delta]) -> bool:
        """Inside a call: its JSON as far as it goes, then everything up to the closing marker."""
        if self._json.is_open:
            read = self._json.feed(self._pending)
            self._pending = self._pending[read:]
            self._stream_call(deltas)
            if self._json.is_open:
                return False
        at = self._pending.find(CALL_CLOSES)
        if at < 0:
            return False
        inside, self._pending = self._pending[:at], self._pending[at + len(CALL_CLOSES) :]
        self._end_call(inside, deltas)
        self._reading = self._free
        return True

    def _stream_call(self, deltas: list[Delta]) -> None:
        index, json_ = len(self.calls), self._json
        if json_.name is None or not (json_.fresh or not json_.announced):
            return
        deltas.append(
            CallDelta(
                index=index,
                id="" if json_.announced else self._id(index),
                name="" if json_.announced else json_.name,
                arguments_text=json_.fresh,
            )
        )
        json_.announced, json_.fresh = True, ""

    def _end_call(self, rest: str, deltas: list[Delta]) -> None:
        json_ = self._json
        if json_.is_whole and not rest.strip():
            name, arguments = json_.name or "", json_.arguments
        else:
            raw = (json_.text + rest).strip()
            found = _NAME.search(raw)
            name, arguments = found[1] if found else "", raw
        if not json_.announced:
            deltas += self._whole_call(name, arguments)
            return
        self.calls.append(self._made(name, arguments))

    def _whole_call(self, name: str, arguments: str) -> list[Delta]:
        index = len(self.calls)
        call = self._made(name, arguments)
        self.calls.append(call)
        return [CallDelta(index=index, id=call.id, name=name, arguments_text=arguments)]

    def _made(self, name: str, arguments: str) -> ToolCall:
        return ToolCall(id=self._id(len(self.calls)), name=name, arguments_text=arguments)

    def _id(self, index: int) -> str:
        """Nine letters and digits: some templates insist on it."""
        return f"call{self._first_call + index:05d}"

    def _bare_call(self, text: str) -> tuple[str, str] | None:
        matched = _BARE.fullmatch(text)
        if matched is None:
            return None
        reader = CallReader()
        reader.feed(matched[1])
        if not reader.is_whole or reader.name not in self._tools:
            return None
        return reader.name, reader.arguments

    def _say(self, text: str, deltas: list[Delta]) -> None:
        if ready := self._trimmed(text, begun=bool(self._texts)):
            self._texts.append(ready)
            deltas.append(TextDelta(text=ready))

    def _reason(self, text: str, deltas: list[Delta]) -> None:
        if ready := self._trimmed(text, begun=bool(self._reasonings)):
            self._reasonings.append(ready)
            deltas.append(ReasoningDelta(text=ready))

    def _trimmed(self, text: str, *, begun: bool) -> str:
        """Without blanks at the beginning; those at the end wait for what follows."""
        text = self._blanks + text
        self._blanks = ""
        if not begun:
            text = text.lstrip()
        ready = text.rstrip()
        if ready or begun:
            self._blanks = text[len(ready) :]
        return ready


class CallReader:
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
        usable = len(text) - (1 if _ends_in_escape(text) else 0)
        for piece in _JSON_PIECE.finditer(text, 0, usable):
            if not self._in_string and piece[0] == "<":
                self._fail()  # no JSON: the closing marker came too early
                return piece.start()
            self._parts.append(piece[0])
            self._read(piece[0])
            if not self.is_open:
                return piece.end()
        return usable

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
            if self._depth == 0 and not piece.isspace():
                self._fail()
            self._keep(piece)

    def _read_in_string(self, piece: str) -> None:
        self._keep(piece)
        if piece != '"':
            if self._depth == 1:
                self._string.append(piece)
            return
        self._in_string = False
        if self._depth == 1 and self._at_value and self._key == "name":
            self.name = _unescaped("".join(self._string))

    def _open(self, piece: str) -> None:
        if self._depth == 0 and piece == "[":
            self._fail()
        self._depth += 1
        if self._depth > 1:
            self._keep(piece)

    def _keep(self, piece: str) -> None:
        if self._at_value and self._key in ("arguments", "parameters"):
            if not self._arguments and piece.isspace():
                return
            self._arguments.append(piece)
            self.fresh += piece

    def _fail(self) -> None:
        self._failed, self.is_open = True, False


def _may_be_bare(text: str) -> bool:
    """Could this beginning still become a bare call?"""
    if _BARE_BEGINS.match(text):
        return True
    squeezed = re.sub(r"\s", "", text)
    return any(w.startswith(squeezed) for w in ('{"name"', '```json{"name"', '```{"name"'))


def _overlap(text: str, marker: str) -> int:
    """Length of the longest end of `text` that `marker` begins with."""
    longest = min(len(marker) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if marker.startswith(text[-n:])), 0)


def _ends_in_escape(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _unescaped(inside: str) -> str:
    try:
        return str(json.loads(f'"{inside}"'))
    except ValueError:
        return inside
