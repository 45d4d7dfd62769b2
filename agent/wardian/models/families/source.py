"""Text as it arrives, for parsers written as generators.

A reading method yields wherever it needs more text than is there and goes on when called again, so
that a parser reads like its grammar. What it decides depends on the text alone, never on how the
text was cut into pieces.
"""

import re
from collections.abc import Callable, Generator

_JSON_PIECE = re.compile(r'\\.|["{}\[\]<]|[^\\"{}\[\]<]+', re.DOTALL)


class Source:
    """What was fed and not read yet."""

    def __init__(self) -> None:
        self.pending = ""
        self.is_over = False
        """Nothing more will be fed."""

    def take(self, count: int) -> str:
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def blanks(self) -> Generator[None]:
        """Pass over white space."""
        while True:
            self.pending = self.pending.lstrip()
            if self.pending or self.is_over:
                return
            yield

    def begins(self, *spellings: str) -> Generator[None, None, str]:
        """The longest of the spellings that comes next, read; empty where none does."""
        while not self.is_over and any(
            len(s) > len(self.pending) and s.startswith(self.pending) for s in spellings
        ):
            yield
        found = max((s for s in spellings if self.pending.startswith(s)), key=len, default="")
        self.take(len(found))
        return found

    def up_to(
        self, *spellings: str, passing: Callable[[str], object]
    ) -> Generator[None, None, str]:
        """Pass on what stands before the first of the spellings, and read that one too.

        Which it was; empty where the text ended without any.
        """
        while True:
            found = [(at, -len(s), s) for s in spellings if (at := self.pending.find(s)) >= 0]
            if found:
                at, _, spelling = min(found)
                passing(self.take(at))
                self.take(len(spelling))
                return spelling
            held = 0 if self.is_over else max(overlap(self.pending, s) for s in spellings)
            passing(self.take(len(self.pending) - held))
            if self.is_over:
                return ""
            yield

    def text_up_to(self, *spellings: str) -> Generator[None, None, tuple[str, str]]:
        """What stands before the first of the spellings, and which it was (empty: none came)."""
        parts: list[str] = []
        found = yield from self.up_to(*spellings, passing=parts.append)
        return "".join(parts), found

    def json_value(self, passing: Callable[[str], object]) -> Generator[None, None, bool]:
        """Pass on one JSON object, array or string; False where it is cut or is none.

        A `<` outside a string is no JSON: some closing marker came too early.
        """
        depth, in_string = 0, False
        while True:
            usable = len(self.pending) - (1 if ends_in_escape(self.pending) else 0)
            read, text = 0, self.pending
            for piece in _JSON_PIECE.finditer(text, 0, usable):
                mark = piece[0]
                if in_string:
                    in_string = mark != '"'
                elif mark == '"':
                    in_string = True
                elif mark in ("{", "["):
                    depth += 1
                elif mark in ("}", "]"):
                    depth -= 1
                elif mark[0] in "<\\" or depth == 0:
                    passing(self.take(read))
                    return False
                read = piece.end()
                if depth <= 0 and not in_string:
                    passing(self.take(read))
                    return depth == 0
            if read:
                passing(self.take(read))
            if self.is_over:
                return False
            yield


def overlap(text: str, marker: str) -> int:
    """Length of the longest end of `text` that `marker` begins with."""
    longest = min(len(marker) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if marker.startswith(text[-n:])), 0)


def ends_in_escape(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1
