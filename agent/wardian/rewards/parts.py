"""Verifiers that read parts of the answer: texts it must hold or must not, the items of a list."""

import re
import unicodedata
from dataclasses import dataclass, field

from wardian.rewards.texts import bounded, reward
from wardian.rewards.types import Attempt, Reward
from wardian.rewards.versions import version_of

BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,4}[.)])\s+")
QUOTES = "\"'`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contains:
    """The answer holds all of these texts and none of those."""

    name: str = field(default="contains", init=False)
    texts: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    ignore_case: bool = True

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        answer = self._normal(bounded(attempt.answer))
        missing = [text for text in self.texts if self._normal(text) not in answer]
        unwanted = [text for text in self.without if self._normal(text) in answer]
        is_right = not missing and not unwanted
        return reward(
            self, is_right, got=answer, missing=missing or None, unwanted=unwanted or None
        )

    def _normal(self, text: str) -> str:
        text = " ".join(unicodedata.normalize("NFC", text).split())
        return text.casefold() if self.ignore_case else text


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsMatch:
    """The answer is a list of these items and nothing else: one a line, or between commas.

    Bullets, numbers before items, quotes and full stops at the end are not compared.
    """

    name: str = field(default="items", init=False)
    expected: tuple[str, ...]
    in_order: bool = False
    ignore_case: bool = False

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        got = self._items(bounded(attempt.answer))
        wanted = [self._normal(item) for item in self.expected]
        is_right = got == wanted if self.in_order else sorted(got) == sorted(wanted)
        return reward(self, is_right, got=", ".join(got), expected=list(self.expected))

    def _items(self, answer: str) -> list[str]:
        lines = (BULLET.sub("", line) for line in answer.splitlines())
        items = (self._normal(item) for line in lines for item in re.split(r",\s+", line))
        return [item for item in items if item]

    def _normal(self, text: str) -> str:
        text = text.strip().rstrip(".,").strip(QUOTES).strip()
        return text.casefold() if self.ignore_case else text
