"""Words that are looked for in texts: how they are written, and where they stand.

`"two words"` are found beside each other, `begin*` begins a word, all others are whole words; each
must be in the text. Case and accents do not matter. The rules are those of SQLite's FTS5 with its
tokenizer `unicode61`, so that a text is found whether there is an index or not.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

TERM = re.compile(r'"([^"]*)"?|(\S+)')
WORD = re.compile(r"[^\W_]+")
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
)
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese: written without blanks between words"""
AROUND = 48


@dataclass(frozen=True, slots=True)
class Words:
    """What is looked for."""

    terms: tuple[tuple[str, ...], ...]
    """Each the words of a phrase, folded"""
    prefixes: frozenset[int]
    """Those terms whose last word may go on"""

    @classmethod
    def of(cls, text: str) -> "Words | None":
        """None where words do not help: there is none, or the script has no blanks."""
        if UNSPACED.search(text):
            return None
        terms: list[tuple[str, ...]] = []
        prefixes: set[int] = set()
        for quoted, plain in TERM.findall(text):
            if words := tuple(WORD.findall(folded(quoted or plain))):
                if plain.endswith("*"):
                    prefixes.add(len(terms))
                terms.append(words)
        return cls(tuple(terms), frozenset(prefixes)) if terms else None

    @property
    def match(self) -> str:
        """For FTS5."""
        return " ".join(
            f'"{" ".join(words)}"{"*" if number in self.prefixes else ""}'
            for number, words in enumerate(self.terms)
        )

    def place(self, text: str) -> tuple[int, int] | None:
        """Where the most terms stand near each other, first; None if one is missing."""
        plain = folded(text)
        spans: list[tuple[int, int, int]] = []
        for number, pattern in enumerate(self._patterns()):
            found = [(*match.span(), number) for match in pattern.finditer(plain)]
            if not found:
                return None
            spans += found
        spans.sort()
        best, most = spans[0], 0
        begin = 0
        for end, span in enumerate(spans):
            while span[1] - spans[begin][0] > 2 * AROUND and begin < end:
                begin += 1
            many = len({number for _, _, number in spans[begin : end + 1]})
            if many > most:
                best, most = (spans[begin][0], span[1], 0), many
        return best[0], best[1]

    def _patterns(self) -> list[re.Pattern[str]]:
        return [
            re.compile(
                r"(?<![^\W_])"
                + r"[\W_]+".join(map(re.escape, words))
                + ("" if number in self.prefixes else r"(?![^\W_])")
            )
            for number, words in enumerate(self.terms)
        ]


def folded(text: str) -> str:
    """The text without case and accents, as long as it was."""
    if text.isascii():
        return text.lower()
    return "".join(map(_folded_char, text))


@cache
def _folded_char(char: str) -> str:
    base = unicodedata.normalize("NFD", char)[0].lower()
    return base if len(base) == 1 else char


def around(text: str, start: int, end: int) -> str:
    """The place in its surroundings."""
    end = min(end, start + 2 * AROUND)
    before, after = text[max(0, start - AROUND) : start], text[end : end + AROUND]
    return (
        ("…" if start > AROUND else "")
        + before
        + text[start:end]
        + after
        + ("…" if end + AROUND < len(text) else "")
    )
