"""Patterns on a linear-time engine, so that no text, however hostile, can make a search hang."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any


def compiled(pattern: str) -> Any:
    """For `matches`; RE2 takes 10 ms to import, which only a run that looks for patterns pays."""
    library: Any = import_module("re2")
    options = library.Options()
    options.log_errors = False  # it would write them to stderr
    options.encoding = library.Options.Encoding.LATIN1
    return library.compile(pattern.encode(), options)


class Bytes:
    """A text as the engine reads it, and its positions as characters."""

    def __init__(self, text: str) -> None:
        self.content = text.encode("utf-8", "surrogatepass")
        self._is_ascii = len(self.content) == len(text)
        self._known = (0, 0)

    def characters(self, at: int) -> int:
        """The position of a byte, in characters. Quick where the positions asked for ascend."""
        if self._is_ascii:
            return at
        byte, character = self._known if at >= self._known[0] else (0, 0)
        character += len(self.content[byte:at].decode("utf-8", "surrogatepass"))
        self._known = at, character
        return character


def matches(pattern: Any, text: Bytes) -> Iterator[tuple[int, int]]:
    """Where the pattern's group `value` stands, or all of it where it has none; in bytes."""
    group = pattern.groupindex.get(b"value", pattern.groupindex.get("value", 0))
    for found in pattern.finditer(text.content):
        start, end = found.span(group)
        if end > start:
            yield start, end
