"""Values that are known to be secret, found in whatever encoding they stand.

Covers: the value itself; escaped for JSON (also JSON in JSON) and for URLs, in any mixture; base64
in all three alignments and both alphabets; hexadecimal in both cases; base64 and hexadecimal broken
into lines. Each of these of the value, and of the value as JSON or a URL writes it.
Does not cover: a value that is compressed, encrypted, reversed, split into parts with text between,
or spelled in an encoding that is not listed. Code that holds a secret and may send can always find
one, which is why code in the sandbox neither gets the environment nor a network.
"""

import base64
import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, quote_plus

from wardian_policies.redaction.engine import compiled
from wardian_policies.redaction.randomness import MIN_CHARS
from wardian_policies.redaction.views import WRAPPED, View, views, without_open_end

MIN_LINE_CHARS = 20
"""Lines of a secret of several lines, such as a private key, are secret one by one from here on."""
GATED_CHARS = 4096
"""Shorter texts are searched for each value at once; the engine need not be loaded for them."""
BASE64 = re.compile(r"[A-Za-z0-9+/_-]")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text that is to be replaced."""

    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class CodedForm:
    """What a value looks like in base64 or in hexadecimal."""

    text: str
    name: str = ""
    shares_first: bool = False
    """Does the base64 character before it hold bits of the value?"""
    shares_last: bool = False

    def widened(self, text: str, start: int, end: int) -> tuple[int, int]:
        """With the characters that share a byte with the value."""
        if self.shares_first and start and BASE64.match(text, start - 1):
            start -= 1
        if self.shares_last and BASE64.match(text, end):
            end += 1
        return start, end


class KnownValues:
    """Finds registered values in texts."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values` by the name that is shown in their place. Raises: ValueError for a short one."""
        self.values = dict(values)
        self.plain: dict[str, str] = {}
        self.coded: dict[str, CodedForm] = {}
        for name, value in values.items():
            if len(value) < MIN_CHARS:
                raise ValueError(f"{name} has fewer than {MIN_CHARS} characters.")
            for part in parts_of(value):
                self.plain.setdefault(part, name)
                for needle in coded_forms(part):
                    self.coded.setdefault(needle.text, replace(needle, name=name))
        self._spaced = any(" " in part for part in self.plain)
        self._plain = tuple(self.plain.items())
        self._gate: Any = None

    def __bool__(self) -> bool:
        return bool(self.plain)

    def find(self, text: str) -> list[Span]:
        """Every span that gives a value away, in order and not overlapping."""
        if len(text) < MIN_CHARS:
            return []
        found = [span for view in views(text) for span in self._in_view(view)]
        return merged(found) if found else []

    def _may_hold_one(self, text: str) -> bool:
        """One pass over a long text that rules nearly all of them out."""
        if len(text) < GATED_CHARS:
            return True
        if self._gate is None:
            beginnings = {needle[:MIN_CHARS] for needle in (*self.plain, *self.coded)}
            self._gate = compiled("|".join(map(re.escape, sorted(beginnings))))
        forms = [text, text.replace("+", " ")] if self._spaced and "+" in text else [text]
        return any(self._gate.search(form.encode("utf-8", "surrogatepass")) for form in forms)

    def _in_view(self, view: View) -> Iterator[Span]:
        text = view.text
        if self._may_hold_one(text):
            yield from self._plainly(view)
            yield from self._in_form(view)
        is_shallow = view.source is None or view.source.source is None
        lines = view.decoded(WRAPPED) if is_shallow else None
        if lines and self._may_hold_one(lines.text):
            yield from self._in_form(lines)

    def _plainly(self, view: View) -> Iterator[Span]:
        text = view.text
        for start, end, name in occurrences(text, self._plain):
            yield Span(*view.original(start, end), name)
        if self._spaced and "+" in text:
            # In a URL's query, + is a space; as long as it was, so positions hold.
            for start, end, name in occurrences(text.replace("+", " "), self._plain):
                yield Span(*view.original(start, end), name)

    def _in_form(self, view: View) -> Iterator[Span]:
        for form in self.coded.values():
            for start, end, name in occurrences(view.text, [(form.text, form.name)]):
                if view.coding is WRAPPED and not view.is_parted(start, end):
                    continue  # it stood in one piece, and was found there
                yield Span(*view.original(*form.widened(view.text, start, end)), name)


def occurrences(text: str, needles: Iterable[tuple[str, str]]) -> Iterator[tuple[int, int, str]]:
    """`str.find` skips faster than any automaton reads, and is linear in the worst case."""
    for needle, name in needles:
        at = text.find(needle)
        while at >= 0:
            yield at, at + len(needle), name
            at = text.find(needle, at + len(needle))


def merged(spans: list[Span]) -> list[Span]:
    """In order; overlapping ones as one, under the longest one's name."""
    spans.sort(key=lambda span: (span.start, -span.end))
    kept = [spans[0]]
    for span in spans[1:]:
        last = kept[-1]
        if span.start < last.end:
            kept[-1] = Span(last.start, max(last.end, span.end), last.name)
        else:
            kept.append(span)
    return kept


def parts_of(value: str) -> Iterator[str]:
    """The value without space around it; of several lines, those that are long."""
    value = value.strip()
    lines = [line.strip() for line in value.splitlines() if not line.startswith("-----")]
    longer = [line for line in lines if len(line) >= MIN_LINE_CHARS]
    yield from longer if len(lines) > 1 and longer else [value]


def coded_forms(value: str) -> Iterator[CodedForm]:
    """Base64 and hexadecimal of the value, and of the ways in which JSON and URLs write it."""
    written = {
        value: None,
        json.dumps(value)[1:-1]: None,
        json.dumps(value, ensure_ascii=False)[1:-1]: None,
        quote(value, safe="", errors="replace"): None,
        quote_plus(value, errors="replace"): None,
    }
    for text in written:
        content = text.encode("utf-8", "surrogatepass")
        for offset in range(3):
            form = inner_base64(content, offset)
            yield form
            if "+" in form.text or "/" in form.text:
                yield replace(form, text=form.text.translate(URL_ALPHABET))
        yield CodedForm(content.hex())
        yield CodedForm(content.hex().upper())


URL_ALPHABET = str.maketrans("+/", "-_")


def inner_base64(content: bytes, offset: int) -> CodedForm:
    """The characters that depend on `content` alone when `offset` bytes (mod 3) stand before it."""
    text = base64.b64encode(b"\0" * offset + content).decode().rstrip("=")
    shares_last = (offset + len(content)) % 3 > 0
    return CodedForm(
        text=text[(0, 2, 3)[offset] : len(text) - shares_last],
        shares_first=offset > 0,
        shares_last=shares_last,
    )


class HeldBack:
    """How much of a stream's end must wait, since it may be the beginning of a value."""

    def __init__(self, known: KnownValues) -> None:
        self._needles = sorted([*known.plain, *known.coded])
        self._longest = max(map(len, self._needles), default=0)
        self._spaced = any(" " in needle for needle in known.plain)
        # `\\\\u0041`, an escape in JSON in JSON, is the longest way to write a character.
        self._window_chars = 10 * self._longest + 64

    def cut(self, text: str) -> int:
        """Up to where the text can be let go."""
        begin = max(0, len(text) - self._window_chars)
        tail = text[begin:]
        safe = min(self._cut(view) for view in views(tail, without_open_end))
        # The character before a base64 form may share a byte with the value.
        return begin + (safe if safe == len(tail) else max(0, safe - 1))

    def _cut(self, view: View) -> int:
        """By one view of the text's end, in the text's own positions."""
        starts = [self._first(view.text)]
        if self._spaced and "+" in view.text:
            starts.append(self._first(view.text.replace("+", " ")))
        if lines := View(view.text).decoded(WRAPPED):
            first = self._first(lines.text)
            starts.append(lines.original(first, first)[0])
        start = min(starts)
        return view.original(start, start)[0]

    def _first(self, text: str) -> int:
        """Where the longest end of the text begins that is the beginning of a needle."""
        begin = max(0, len(text) - self._longest)
        return next((i for i in range(begin, len(text)) if self._begins(text[i:])), len(text))

    def _begins(self, end: str) -> bool:
        at = bisect_left(self._needles, end)
        return at < len(self._needles) and self._needles[at].startswith(end)
