"""Finds reasoning and tool calls in what a model writes, while it writes.

What calls and reasoning look like is the family's matter (`families`). A reply that is nothing but
a JSON object naming a tool (bare, or in a ``` fence) counts as a call too.

A call is passed on as it was written: whether its arguments are JSON, and what the tool asks for,
is judged where calls are validated.
"""

import re
from collections.abc import Callable, Collection, Generator, Mapping
from typing import Any

from wardian.models.families import HERMES, Family
from wardian.models.families.family import Reading, Schemas
from wardian.models.families.json_object import ObjectReader
from wardian.models.families.source import Source
from wardian.types import CallDelta, Delta, ReasoningDelta, TextDelta
from wardian_tools.types import ToolCall

_BARE = re.compile(r"\s*(?:```(?:json)?\s*)?(\{.*\})\s*(?:```\s*)?", re.DOTALL)
_BARE_BEGINS = re.compile(r"(?:```(?:json)?\s*)?\{\s*\"name\"")
_BARE_BEGINNINGS = ('{"name"', '```json{"name"', '```{"name"')


class ReplyParser:
    """Feed it text as it comes; it gives deltas. After `finish`, the attributes hold the whole."""

    def __init__(
        self,
        tools: Mapping[str, Mapping[str, Any]] | Collection[str] = (),
        *,
        family: Family = HERMES,
        thinking: bool = False,
        first_call: int = 1,
    ) -> None:
        """`tools`: name → JSON schema of the arguments, or names alone. Some families write values
        that only the schema can tell apart.

        `thinking`: the prompt ended inside a reasoning block.
        `first_call`: number of the next call in the conversation; ids are made from it.
        """
        self.schemas: Schemas = (
            tools if isinstance(tools, Mapping) else {name: {} for name in tools}
        )
        self.calls: list[ToolCall] = []
        self._family = family
        self._first_call = first_call
        self._source = Source()
        self._deltas: list[Delta] = []
        self._text = _Trimmed(lambda text: self._deltas.append(TextDelta(text=text)))
        self._reasoning = _Trimmed(lambda text: self._deltas.append(ReasoningDelta(text=text)))
        self._has_begun_call = False
        self._reading = self._reply(thinking)
        self._go_on()

    @property
    def text(self) -> str:
        return self._text.whole

    @property
    def reasoning(self) -> str:
        return self._reasoning.whole

    def feed(self, text: str) -> list[Delta]:
        self._source.pending += text
        self._go_on()
        return self._given()

    def finish(self) -> list[Delta]:
        """What was held back. Nothing more may be fed."""
        self._source.is_over = True
        self._go_on()
        return self._given()

    def _go_on(self) -> None:
        next(self._reading, None)

    def _given(self) -> list[Delta]:
        deltas, self._deltas = self._deltas, []
        return deltas

    def _reply(self, thinking: bool) -> Reading:
        """Blocks of reasoning and of calls, text between them."""
        family, source = self._family, self._source
        if family.read_reply:
            yield from family.read_reply(source, self, thinking)
            return
        pairs = dict(family.reasoning)
        closes = tuple(pairs.values())
        if thinking:
            yield from source.up_to(*closes, passing=self.reason)
            self.pause()
        opens = family.opens if self.schemas else ()
        is_first = True
        while source.pending or not source.is_over:
            if is_first and (yield from self._bare()):
                return
            found = yield from source.up_to(*pairs, *opens, *family.silent, passing=self.say)
            self.pause()
            if found in pairs:
                yield from source.up_to(pairs[found], passing=self.reason)
            elif found in opens:
                yield from family.read(source, self, found)
            self.pause()
            is_first = found in pairs

    def _bare(self) -> Generator[None, None, bool]:
        """At the start of the answer: is the rest a bare call? Then it is taken as one."""
        source = self._source
        if not self.schemas or not self._family.is_bare:
            return False
        while not source.is_over and _may_be_bare(source.pending.lstrip()):
            yield
        matched = _BARE.fullmatch(source.pending) if source.is_over else None
        if matched is None:
            return False
        reader = ObjectReader()
        reader.feed(matched[1])
        if not reader.is_whole or reader.name not in self.schemas:
            return False
        source.pending = ""
        self.end_call(reader.name or "", reader.arguments)
        return True

    def say(self, text: str) -> None:
        self._text.add(text)

    def reason(self, text: str) -> None:
        self._reasoning.add(text)

    def pause(self) -> None:
        """Something else comes between: blanks that wait for more text are not part of it."""
        self._text.forget_blanks()
        self._reasoning.forget_blanks()

    def begin_call(self, name: str) -> None:
        self._has_begun_call = True
        index = len(self.calls)
        self._deltas.append(CallDelta(index=index, id=self._id(index), name=name))

    def add_arguments(self, text: str) -> None:
        if text:
            self._deltas.append(CallDelta(index=len(self.calls), arguments_text=text))

    def end_call(self, name: str, arguments: str) -> None:
        index = len(self.calls)
        call = ToolCall(id=self._id(index), name=name, arguments_text=arguments)
        self.calls.append(call)
        if not self._has_begun_call:
            self._deltas.append(
                CallDelta(index=index, id=call.id, name=name, arguments_text=arguments)
            )
        self._has_begun_call = False

    def _id(self, index: int) -> str:
        """Nine letters and digits: some templates insist on it."""
        return f"call{self._first_call + index:05d}"


class _Trimmed:
    """Text without blanks at the beginning; those at the end wait for what follows."""

    def __init__(self, give: Callable[[str], object]) -> None:
        self._give = give
        self._parts: list[str] = []
        self._blanks = ""

    @property
    def whole(self) -> str:
        return "".join(self._parts)

    def add(self, text: str) -> None:
        text = self._blanks + text
        self._blanks = ""
        if not self._parts:
            text = text.lstrip()
        ready = text.rstrip()
        if self._parts or ready:
            self._blanks = text[len(ready) :]
        if ready:
            self._parts.append(ready)
            self._give(ready)

    def forget_blanks(self) -> None:
        self._blanks = ""


def _may_be_bare(text: str) -> bool:
    """Could this beginning still become a bare call?"""
    if _BARE_BEGINS.match(text):
        return True
    squeezed = re.sub(r"\s", "", text)
    return any(w.startswith(squeezed) for w in _BARE_BEGINNINGS)
