"""Puts the pieces of tool calls together. Two calls are never merged into one.

A piece continues a call only where nothing speaks against it; in doubt it starts a new call,
which then is malformed and answered as such, and nothing runs that the model did not write.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from wardian.models.json_shapes import is_object
from wardian.types import CallDelta
from wardian_tools.types import ToolCall

ID_LIMIT_CHARS = 512
NAME_LIMIT_CHARS = 256


@dataclass(slots=True)
class _Call:
    place: int
    id: str
    """unique in the conversation"""
    given_id: str
    """as the server sent it"""
    name: str
    parts: list[str] = field(default_factory=list[str])

    @property
    def is_whole(self) -> bool:
        """Its arguments are a complete JSON object, so more text cannot belong to it."""
        last = next((part for part in reversed(self.parts) if part.strip()), "")
        if not last.rstrip().endswith("}"):
            return False
        try:
            json.loads("".join(self.parts))
        except (ValueError, RecursionError):
            return False
        return True


class CallPieces:
    """The calls of one reply, as far as they were written."""

    def __init__(self, taken_ids: Iterable[str] = ()) -> None:
        self.chars = 0
        self._taken = set(taken_ids)
        self._calls: list[_Call] = []
        self._by_index: dict[int | str, _Call] = {}
        self._by_id: dict[str, _Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def calls(self, *, is_complete: bool) -> tuple[ToolCall, ...]:
        """The calls; in a complete reply one without arguments counts as `{}`, since that is how
        some servers spell it."""
        empty = "{}" if is_complete else ""
        return tuple(
            ToolCall(id=c.id, name=c.name, arguments_text="".join(c.parts) or empty)
            for c in self._calls
        )

    def add(self, piece: Any) -> CallDelta | None:
        """Take one entry of `tool_calls`; None when it says nothing."""
        if not is_object(piece):
            return None
        function = piece.get("function")
        function = function if is_object(function) else {}
        given_id = _string(piece.get("id"), ID_LIMIT_CHARS)
        name = _string(function.get("name"), NAME_LIMIT_CHARS)
        text = _arguments(function.get("arguments"))
        index = piece.get("index")
        index = index if isinstance(index, int | str) else None
        if not (given_id or name or text):
            return None
        call = self._owner(index, given_id, name, text)
        is_new = call is None
        call = call or self._start(given_id, name)
        if index is not None:
            self._by_index[index] = call
        if given_id:
            call.given_id = given_id
            self._by_id[given_id] = call
        late_name = name if name and not call.name else ""
        call.name = call.name or name
        call.parts.append(text)
        self.chars += len(text) + 64
        return CallDelta(
            index=call.place,
            id=call.id if is_new else "",
            name=call.name if is_new else late_name,
            arguments_text=text,
        )

    def _owner(self, index: int | str | None, given_id: str, name: str, text: str) -> _Call | None:
        """The call a piece continues; None when it starts one."""
        if index is not None:
            call = self._by_index.get(index)
            if call is None and given_id and not name:
                call = self._by_id.get(given_id)  # counted up with every piece
        elif given_id:
            call = self._by_id.get(given_id)
        else:
            call = self._calls[-1] if self._calls else None
        if call is not None and given_id and call.given_id and call.given_id != given_id:
            call = self._by_id.get(given_id)  # two calls under one index
        if call is None or not name or not call.name:
            return call
        is_another = name != call.name or (text.strip() != "" and call.is_whole)
        return None if is_another else call

    def _start(self, given_id: str, name: str) -> _Call:
        call_id, number = given_id, len(self._taken)
        while not call_id or call_id in self._taken:
            call_id = f"call_{number}"
            number += 1
        self._taken.add(call_id)
        call = _Call(place=len(self._calls), id=call_id, given_id=given_id, name=name)
        self._calls.append(call)
        return call


def _string(value: Any, limit_chars: int) -> str:
    return value[:limit_chars] if isinstance(value, str) else ""


def _arguments(value: Any) -> str:
    """Arguments as text; a server that parsed them sends an object."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
