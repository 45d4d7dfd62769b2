"""Finds the Python a model writes to act: the first ```python fence of its reply.

What it writes after that block speaks of a result it has not seen, and is left out.
"""

import json
import re
from collections.abc import Generator

from wardian.models.families.source import Source
from wardian.types import CallDelta, Delta, ReasoningDelta, TextDelta
from wardian_tools.types import ToolCall

_OPENS = ("```python\n", "```py\n", "```python3\n")
_FENCE = re.compile(r"\n[ \t]*```[ \t]*\n")
_LAST_FENCE = re.compile(r"\n[ \t]*```[ \t]*\Z")
"""Where the reply ends with the fence."""
THINK_OPENS, THINK_CLOSES = "<think>", "</think>"


class FencedParser:
    """Feed it text as it comes; it gives deltas. After `finish`, the attributes hold the whole."""

    def __init__(self, tool: str, *, first_call: int = 1) -> None:
        self.calls: list[ToolCall] = []
        self._tool = tool
        self._id = f"call{first_call:05d}"
        self._source = Source()
        self._deltas: list[Delta] = []
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._reading = self._reply()

    @property
    def text(self) -> str:
        return "".join(self._texts).strip()

    @property
    def reasoning(self) -> str:
        return "".join(self._thoughts).strip()

    def feed(self, text: str) -> list[Delta]:
        self._source.pending += text
        return self._go_on()

    def finish(self) -> list[Delta]:
        """What was held back. Nothing more may be fed."""
        self._source.is_over = True
        return self._go_on()

    def _go_on(self) -> list[Delta]:
        next(self._reading, None)
        deltas, self._deltas = self._deltas, []
        return deltas

    def _reply(self) -> Generator[None]:
        source = self._source
        while True:
            found = yield from source.up_to(THINK_OPENS, *_OPENS, passing=self._say)
            if found != THINK_OPENS:
                break
            yield from source.up_to(THINK_CLOSES, passing=self._think)
        if not found:
            return
        while not source.is_over and not _FENCE.search(f"\n{source.pending}"):
            yield
        code = _LAST_FENCE.sub("", f"\n{source.pending}")
        self._call(_FENCE.split(code, maxsplit=1)[0].removeprefix("\n"))
        source.pending = ""
        while not source.is_over:
            yield
            source.pending = ""

    def _call(self, code: str) -> None:
        arguments = json.dumps({"code": code}, ensure_ascii=False)
        self.calls.append(ToolCall(id=self._id, name=self._tool, arguments_text=arguments))
        self._deltas.append(
            CallDelta(index=0, id=self._id, name=self._tool, arguments_text=arguments)
        )

    def _say(self, text: str) -> None:
        if text:
            self._texts.append(text)
            self._deltas.append(TextDelta(text=text))

    def _think(self, text: str) -> None:
        if text:
            self._thoughts.append(text)
            self._deltas.append(ReasoningDelta(text=text))
