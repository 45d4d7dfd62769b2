"""A byte-level BPE in which a word or number is spelled alike wherever it stands.

Copying is most of what the built-in model does, so the same text must give the same tokens after
a space, a quote, a bracket, or at the start of a line. Hence merges join letters with letters,
digits with digits (two at most), and a few marks of JSON and Python among themselves; a space is
always its own token, save before the quotes and braces of JSON. llama.cpp splits text by the
`bloom` pattern before it merges, and that pattern never cuts a run of letters or digits, so
both give the same ids (`tests/train` hold it).
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

from wardian.train.tiny.chat import CONTROL_TOKENS, PLAIN_TOKENS, Span

PRE_TOKENIZER = "bloom"
"""llama.cpp's name (`tokenizer.ggml.pre`) for the split below."""
# The escapes are the ideographic full stop, the fullwidth and ideographic commas, the danda, and
# the Urdu and Arabic full stop and comma. Source: llama.cpp, src/llama-vocab.cpp.
_STOPS = "|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c"
_SPLIT = re.compile(rf" ?[^(\s{_STOPS})]+|[(\s{_STOPS})]+?(?= ?[^(\s{_STOPS})]|\Z)")
_PLAIN = re.compile("|".join(re.escape(t) for t in PLAIN_TOKENS))
_MARKS = ('{"', '":', '"}', '"}}', ' "', ' {"', '\\"', ").", "()", "().", "**", "//", "\n\n")
"""Joined marks; each is made of the one before it or of two single marks."""


@cache
def byte_alphabet() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte. Source: openai/gpt-2, encoder.py."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {b: chr(b) for b in shown} | {b: chr(256 + n) for n, b in enumerate(hidden)}


def spelled(text: str) -> str:
    """`text` in the byte alphabet."""
    alphabet = byte_alphabet()
    return "".join(alphabet[b] for b in text.encode("utf-8"))


def learn_letter_merges(words: Iterable[tuple[str, int]], count: int) -> list[tuple[str, str]]:
    """The `count` most frequent joints of ASCII letters, by byte-pair encoding."""
    pieces = [(list(word), number) for word, number in sorted(words)]
    pairs: Counter[tuple[str, str]] = Counter()
    holders: dict[tuple[str, str], set[int]] = {}
    for place, (parts, number) in enumerate(pieces):
        for pair in pairwise(parts):
            pairs[pair] += number
            holders.setdefault(pair, set()).add(place)
    merges: list[tuple[str, str]] = []
    while len(merges) < count and pairs:
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for place in sorted(holders[best]):
            parts, number = pieces[place]
            joined = _merged(parts, best)
            for pair in pairwise(parts):
                pairs[pair] -= number
            for pair in pairwise(joined):
                pairs[pair] += number
                holders.setdefault(pair, set()).add(place)
            pieces[place] = joined, number
        pairs = +pairs
    return merges


def _merged(parts: Sequence[str], pair: tuple[str, str]) -> list[str]:
    """`parts` with each occurrence of `pair` joined, from the left."""
    made: list[str] = []
    place = 0
    while place < len(parts):
        if tuple(parts[place : place + 2]) == pair:
            made.append(pair[0] + pair[1])
            place += 2
        else:
            made.append(parts[place])
            place += 1
    return made


def fixed_merges() -> list[tuple[str, str]]:
    """Two-digit numbers and joined marks."""
    digits = [(a, b) for a in "0123456789" for b in "0123456789"]
    known = set[str]()
    marks: list[tuple[str, str]] = []
    for mark in map(spelled, _MARKS):
        cut = max((n for n in range(1, len(mark)) if mark[:n] in known or n == 1), default=1)
        cut = cut if len(mark[cut:]) == 1 or mark[cut:] in known else 1
        marks.append((mark[:cut], mark[cut:]))
        known.add(mark)
    return digits + marks


class TinyTokenizer:
    """Ids: control tokens, plain special tokens, 256 bytes, then one per merge."""

    def __init__(self, merges: Iterable[tuple[str, str]]) -> None:
        self.merges = tuple(merges)
        self.tokens = (
            *CONTROL_TOKENS,
            *PLAIN_TOKENS,
            *byte_alphabet().values(),
            *(a + b for a, b in self.merges),
        )
        self.ids = {token: n for n, token in enumerate(self.tokens)}
        assert len(self.ids) == len(self.tokens)
        self._ranks = {pair: n for n, pair in enumerate(self.merges)}
        self._seen: dict[str, list[int]] = {}

    @classmethod
    def learn(cls, texts: Iterable[str], letter_merges: int) -> "TinyTokenizer":
        """A tokenizer whose letter merges are the frequent ones of `texts`."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(re.findall("[A-Za-z]+", text))
        return cls((*fixed_merges(), *learn_letter_merges(counts.items(), letter_merges)))

    @classmethod
    def load(cls, path: Path) -> "TinyTokenizer":
        return cls(tuple((a, b) for a, b in json.loads(path.read_text("utf-8"))["merges"]))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"merges": self.merges}, ensure_ascii=False, indent=0), "utf-8")

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, in which control tokens are not recognised but plain ones are."""
        made: list[int] = []
        end = 0
        for found in _PLAIN.finditer(text):
            made += self._encode_text(text[end : found.start()])
            made.append(self.ids[found.group()])
            end = found.end()
        return made + self._encode_text(text[end:])

    def encode_spans(self, spans: Iterable[Span]) -> tuple[list[int], list[bool]]:
        """Ids, and for each whether the model is to learn writing it."""
        ids: list[int] = []
        learned: list[bool] = []
        for span in spans:
            new = [self.ids[span.text]] if span.control else self.encode(span.text)
            ids += new
            learned += [span.learned] * len(new)
        return ids, learned

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids; special tokens by name."""
        back = {c: b for b, c in byte_alphabet().items()}
        made = bytearray()
        special = len(CONTROL_TOKENS) + len(PLAIN_TOKENS)
        for i in ids:
            token = self.tokens[i]
            made += token.encode() if i < special else bytes(back[c] for c in token)
        return made.decode("utf-8", "replace")

    def _encode_text(self, text: str) -> list[int]:
        made: list[int] = []
        for chunk in _SPLIT.findall(text):
            ids = self._seen.get(chunk)
            if ids is None:
                ids = self._seen[chunk] = [self.ids[p] for p in self._pieces(spelled(chunk))]
            made += ids
        return made

    def _pieces(self, chunk: str) -> list[str]:
        parts = list(chunk)
        while len(parts) > 1:
            pairs = list(pairwise(parts))
            best = min(range(len(pairs)), key=lambda n: self._ranks.get(pairs[n], 1 << 30))
            if pairs[best] not in self._ranks:
                break
            parts[best : best + 2] = ["".join(pairs[best])]
        return parts
