"""A text as its reader would decode it: escapes of JSON and of URLs undone, line breaks taken out.

A secret is looked for in what a text *says*. `pa\\u0073s`, `pa%73s` and `pass` say the same, so a
`View` decodes and remembers where each of its characters came from.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ESCAPED = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}"
    r"|x[0-9a-fA-F]{2}|[^ux])"
)
"""Of JSON and of a Python literal."""
PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")
SPACE = re.compile(r"\s+")
LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}

OPEN_ESCAPE = re.compile(
    r"(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?"
    r"|\\(?:u[0-9a-fA-F]{0,3}|x[0-9a-fA-F]?)?)\Z"
)
OPEN_PERCENT = re.compile(
    r"(?:%[cCdD][0-9a-fA-F]|%[eE][0-9a-fA-F](?:%[89abAB][0-9a-fA-F])?"
    r"|%[fF][0-9a-fA-F](?:%[89abAB][0-9a-fA-F]){0,2})(?:%[0-9a-fA-F]?)?\Z|%[0-9a-fA-F]?\Z"
)
"""An escape that the text breaks off in."""
OPEN_CHARS = 12
"""The longest of them"""

Decode = Callable[[re.Match[str]], str]


def unescape(match: re.Match[str]) -> str:
    text = match[0]
    if text[1] in "ux":
        if len(text) == 12:
            high, low = int(text[2:6], base=16), int(text[8:], base=16)
            return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
        return chr(int(text[2:], base=16))  # noqa: FURB166 - base 0 would want `0x`
    return LETTERS.get(text[1], text[1])


def unquote(match: re.Match[str]) -> str:
    """Bytes that are not UTF-8 become one character each, so that positions can be counted."""
    return bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "surrogateescape")


def nothing(_: re.Match[str]) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Coding:
    """One way in which a text may be encoded."""

    sign: re.Pattern[str]
    decode: Decode
    mark: str
    """Without it in the text there is nothing to decode; empty looks anyway."""


JSON = Coding(ESCAPED, unescape, "\\")
URL = Coding(PERCENT, unquote, "%")
WRAPPED = Coding(SPACE, nothing, "")


class View:
    """A text, and where its characters stand in the text it was decoded from."""

    __slots__ = ("_starts", "coding", "source", "text")

    def __init__(
        self, text: str, source: "View | None" = None, coding: Coding | None = None
    ) -> None:
        self.text = text
        self.source = source
        self.coding = coding
        self._starts: list[int] | None = None

    def decoded(self, coding: Coding) -> "View | None":
        """This text without that encoding; None where it has none."""
        if coding.mark not in self.text:
            return None
        # Splitting is ten times as fast as a pattern, and means the same spaces.
        joined = "".join(self.text.split()) if coding is WRAPPED else None
        text = coding.sign.sub(coding.decode, self.text) if joined is None else joined
        return None if text == self.text else View(text, self, coding)

    def is_parted(self, start: int, end: int) -> bool:
        """Was something taken out of this span when it was decoded?"""
        if self.source is None or self.coding is None:
            return False
        return (
            self.source.text[(at := self._positions()[start]) : at + end - start]
            != (self.text[start:end])
        )

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span in the text that all of this came from."""
        if self.source is None or self.coding is None:
            return start, end
        starts = self._positions()
        # Of a character that was an escape all of it, but no space after a wrapped line.
        is_wrapped = self.coding is WRAPPED and end > start
        last = starts[end - 1] + 1 if is_wrapped else starts[end]
        return self.source.original(starts[start], last)

    def _positions(self) -> list[int]:
        assert self.source is not None
        assert self.coding is not None
        if self._starts is None:
            self._starts = positions(self.source.text, self.coding)
        return self._starts


def positions(text: str, coding: Coding) -> list[int]:
    """By decoded character, where it begins in `text`; one more for the end."""
    found: list[int] = []
    done = 0
    for match in coding.sign.finditer(text):
        found.extend(range(done, match.start()))
        at = match.start()
        decoded = coding.decode(match)
        for character in decoded:
            found.append(at)
            at += 3 * byte_length(character) if coding is URL else 0
        done = match.end()
    found.extend(range(done, len(text) + 1))
    return found


def byte_length(character: str) -> int:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        return 1
    return 1 + (code > 0x7F) + (code > 0x7FF) + (code > 0xFFFF)


CHAINS: tuple[tuple[Coding, ...], ...] = (
    (JSON,),
    (URL,),
    (JSON, JSON),
    (JSON, URL),
    (URL, JSON),
    (URL, URL),
    (JSON, JSON, JSON),
)
"""What is undone, in this order: JSON inside JSON, a URL inside JSON, and so on."""


Trim = Callable[[str], str]


def views(text: str, trim: Trim = str) -> Iterator[View]:
    """The text, and what it says under each chain of encodings. At most 8 passes over it.

    Each text is trimmed before it is decoded further.
    """
    whole = View(trim(text))
    yield whole
    if "\\" not in text and "%" not in text:
        return
    known: dict[tuple[Coding, ...], View | None] = {(): whole}
    for chain in CHAINS:
        before = known.get(chain[:-1])
        decoded = before.decoded(chain[-1]) if before else None
        if decoded:
            decoded.text = trim(decoded.text)
            yield decoded
        known[chain] = decoded


def without_open_end(text: str) -> str:
    """The text without an escape that it breaks off in."""
    begin = max(0, len(text) - OPEN_CHARS)
    percent = OPEN_PERCENT.search(text, begin)
    end = percent.start() if percent else len(text)
    escape = OPEN_ESCAPE.search(text, begin)
    while escape and is_escaped(text, escape.start()):
        escape = OPEN_ESCAPE.search(text, escape.start() + 1)
    return text[: min(end, escape.start()) if escape else end]


def is_escaped(text: str, at: int) -> bool:
    """Does a backslash before it, itself not escaped, take this character?"""
    before = text[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1
