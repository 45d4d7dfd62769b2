"""Regular expressions that match in linear time (RE2), for patterns and texts from outside."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol


class Found(Protocol):
    """One match."""

    def group(self, name: int | str = 0) -> str: ...
    def span(self, name: int | str = 0) -> tuple[int, int]: ...
    @property
    def lastgroup(self) -> str | None: ...


class Pattern(Protocol):
    """A compiled regular expression; as the standard library's."""

    def search(self, text: str) -> Found | None: ...
    def finditer(self, text: str) -> Iterator[Found]: ...


def compile_pattern(pattern: str) -> Pattern:
    """Raises: ValueError saying what is wrong with the pattern."""
    # Only where a pattern is: it costs some milliseconds.
    library: Any = import_module("re2")
    options = library.Options()
    options.log_errors = False
    try:
        compiled: Pattern = library.compile(pattern, options)
    except library.error as error:
        said = error.args[0] if error.args else ""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(text) from error
    return compiled
