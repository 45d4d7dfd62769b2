"""Makes text from models, tools and files safe to show: what is invisible becomes visible.

Covers: escape sequences (C0, DEL, C1), carriage returns, bidirectional controls, zero-width and
other ignorable characters, tag characters, line and paragraph separators, lone surrogates.
Does not cover: letters that look alike, and more combining marks than a line can hold.
"""

import re
import unicodedata
from functools import cache

KEPT = "\n\t"
# Unicode's Default_Ignorable_Code_Point that are not of category Cf, and fillers shown as blanks.
# FE0E and FE0F stay: they choose between text and emoji form and follow a visible character.
IGNORABLE = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\uffa0"
    "\ufe00-\ufe0d\U000e0100-\U000e01ef"
)
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co"})


@cache
def hidden() -> re.Pattern[str]:
    """Matches one character that must not reach a terminal as it is."""
    # Everything ASCII is decided by the first class; the rest costs one look-up a character.
    return re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{IGNORABLE}]|[^\x00-\x7f]")


def visible(text: str) -> str:
    """`text` with every hidden character written as an escape; newlines and tabs stay."""
    return hidden().sub(_shown, text.replace("\r\n", "\n"))


def one_line(text: str, limit: int) -> str:
    """`text` on one line of at most `limit` characters, saying when there was more."""
    line = " ".join(visible(text[: 4 * limit + 100]).split())
    if len(line) <= limit and len(text) <= 4 * limit + 100:
        return line
    return line[: max(1, limit - 3)].rstrip() + "..."


def is_hidden(character: str) -> bool:
    """Would this character change what is seen without being seen?"""
    return (
        unicodedata.category(character) in HIDDEN_CATEGORIES and character not in KEPT
    ) or re.match(f"[{IGNORABLE}]", character) is not None


def _shown(match: re.Match[str]) -> str:
    character = match.group()
    if not is_hidden(character):
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


class VisibleStream:
    """`visible` for text that comes in pieces: a `\\r\\n` may be cut between two of them."""

    def __init__(self) -> None:
        self.held = ""

    def feed(self, piece: str) -> str:
        text = self.held + piece
        self.held = "\r" if text.endswith("\r") else ""
        return visible(text[:-1] if self.held else text)

    def end(self) -> str:
        rest, self.held = visible(self.held), ""
        return rest
