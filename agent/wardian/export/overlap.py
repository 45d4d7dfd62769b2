"""What texts share: rows that tell of an evaluation's tasks, and rows that are nearly alike.

Words are compared without case, accents' spelling and punctuation. A task is given away by a row
that holds half of its n-grams or more, so that an instruction which many tasks begin with gives
away none of them.
Source: Lambert et al., "Tülu 3", arXiv:2411.15124, section 3.2 (8-grams, half of the test's); near
duplicates by MinHash: Broder, "On the Resemblance and Containment of Documents", 1997.
Does not cover: a task retold in other words or another language.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from wardian.errors import ConfigurationError

WORD = re.compile(r"\w+")
NGRAM_WORDS = 8
SHARE = 0.5
MIN_WORDS = 4
"""Fewer say nothing when they stand inside another text; they only match a whole text."""
SHINGLE_WORDS = 3
PERMUTATIONS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A task that a row gives away."""

    name: str
    share: float
    """Of its n-grams, those that stand in the row"""


class Overlap:
    """Finds texts that hold what evaluations ask or expect."""

    def __init__(
        self,
        protected: Iterable[tuple[str, str]],
        *,
        ngram_words: int = NGRAM_WORDS,
        share: float = SHARE,
    ) -> None:
        """`protected` are names with their texts: prompts, answers, files; a name may repeat."""
        self._longest, self._share = ngram_words, share
        self._texts: list[tuple[str, int]] = []
        self._holders: dict[tuple[str, ...], list[int]] = {}
        """By n-gram: the places in `_texts` of those that hold it"""
        self._whole: dict[tuple[str, ...], str] = {}
        for name, text in protected:
            self._add(name, words(text))
        self._lengths = sorted({len(gram) for gram in self._holders})

    def __bool__(self) -> bool:
        return bool(self._texts or self._whole)

    def find(self, texts: Iterable[str]) -> Match | None:
        """What the texts, all of one row, give away most of; None where that is too little."""
        shared: Counter[int] = Counter()
        seen: set[tuple[str, ...]] = set()
        for text in texts:
            found = words(text)
            if name := self._whole.get(tuple(found)):
                return Match(name=name, share=1.0)
            for gram in (g for length in self._lengths for g in ngrams(found, length)):
                if gram in self._holders and gram not in seen:
                    seen.add(gram)
                    shared.update(self._holders[gram])
        shares = ((count / self._texts[place][1], place) for place, count in shared.items())
        most, place = max(shares, default=(0.0, -1))
        if most < self._share or not most:
            return None
        return Match(name=self._texts[place][0], share=most)

    def _add(self, name: str, found: Sequence[str]) -> None:
        if not found:
            return
        if len(found) < MIN_WORDS:
            self._whole.setdefault(tuple(found), name)
            return
        grams = set(ngrams(found, min(self._longest, len(found))))
        for gram in grams:
            self._holders.setdefault(gram, []).append(len(self._texts))
        self._texts.append((name, len(grams)))


class NearDuplicates:
    """Tells which texts are nearly the same as an earlier one: about 5 kB of memory for each kept.

    Raises: ConfigurationError where datasketch is not installed.
    """

    def __init__(self, threshold: float) -> None:
        """`threshold`: of the three-word pieces of two texts, the share they have in common."""
        try:
            datasketch: Any = import_module("datasketch")
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "Finding near duplicates needs datasketch, which is not installed.",
                "Install the extra: pip install 'wardian[data]'.",
            ) from error
        self._make: Any = datasketch.MinHash
        self._index: Any = datasketch.MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
        self._kept: dict[int, Any] = {}
        self._threshold = threshold

    def is_new(self, text: str) -> bool:
        """Is no kept text nearly the same? Then it is kept too."""
        sketch = self._make(num_perm=PERMUTATIONS)
        sketch.update_batch([" ".join(gram).encode() for gram in shingles(text)])
        near = (self._kept[place] for place in self._index.query(sketch))
        if any(sketch.jaccard(other) >= self._threshold for other in near):
            return False
        self._index.insert(len(self._kept), sketch)
        self._kept[len(self._kept)] = sketch
        return True


def words(text: str) -> list[str]:
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def ngrams(found: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    return (tuple(found[i : i + length]) for i in range(len(found) - length + 1))


def shingles(text: str) -> set[tuple[str, ...]]:
    """Of a text too short for one, all of it."""
    found = words(text)
    return set(ngrams(found, SHINGLE_WORDS)) or {tuple(found)}
