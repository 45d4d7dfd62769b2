"""Verifiers that only read the answer: exact text, a pattern, a number, JSON of a schema."""

import json
import math
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any, cast

from wardian.answers import unfenced
from wardian.json_schemas import UnusableSchema, validator_of
from wardian.rewards.patterns import compiled
from wardian.rewards.types import MAX_ANSWER_CHARS, Attempt, GradingFailed, Reward
from wardian.rewards.versions import version_of

MAX_SHOWN_CHARS = 200
MAX_NUMBER_CHARS = 400
NUMBER = re.compile(r"[-+]?(?:\d+(?:[,_\u202f\u00a0]\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d{1,4})?%?")
SEPARATOR = re.compile(r"[,_\u202f\u00a0]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactMatch:
    """The answer is one of these texts."""

    name: str = field(default="exact", init=False)
    expected: tuple[str, ...]
    ignore_case: bool = False
    ignore_space: bool = True
    """Outer space, and how much there is between words"""

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        got = self._normal(bounded(attempt.answer))
        is_right = any(got == self._normal(text) for text in self.expected)
        return reward(self, is_right, got=got, expected=list(self.expected))

    def _normal(self, text: str) -> str:
        text = unicodedata.normalize("NFC", text)
        text = " ".join(text.split()) if self.ignore_space else text
        return text.casefold() if self.ignore_case else text


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexMatch:
    """The answer has a match of a pattern, in RE2's syntax: linear time whatever the answer is."""

    name: str = field(default="regex", init=False)
    pattern: str
    whole: bool = False
    """The match must be all of the answer but outer space"""

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        pattern = rf"\A(?:{self.pattern})\z" if self.whole else self.pattern
        text = bounded(attempt.answer).encode("utf-8", "replace").decode()
        found = compiled(pattern).search(text.strip() if self.whole else text)
        return reward(self, found is not None, got=text, matched=found.group() if found else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberMatch:
    """The last number of the answer, or all of it, is near the expected one.

    Thousands may be set apart (`1,234.5`); `12 %` is 12 unless `percent` makes it 0.12.
    """

    name: str = field(default="number", init=False)
    expected: float
    tolerance: float = 1e-9
    """How far it may be from `expected`"""
    relative: float = 0.0
    """The same, as a share of `expected`; the larger of the two is allowed"""
    whole: bool = False
    """The answer must be nothing but the number"""
    percent: bool = False

    @property
    def version(self) -> str:
        return version_of("2", self)

    async def grade(self, attempt: Attempt) -> Reward:
        got = self.number_in(bounded(attempt.answer))
        allowed = max(self.tolerance, self.relative * abs(self.expected))
        # As far as floats can tell: 0.4 is within 0.1 of 0.3.
        allowed += allowed * 1e-9 + math.ulp(self.expected)
        is_near = got is not None and abs(got - self.expected) <= allowed
        return reward(self, is_near, got=got, expected=self.expected)

    def number_in(self, text: str) -> float | None:
        """The number that counts, if there is one."""
        text = text.replace("\u2212", "-")
        found = [m[0] for m in NUMBER.finditer(text) if _has_digits(m[0])]
        if not found or (self.whole and text.strip().replace(" %", "%") != found[-1]):
            return None
        digits = found[-1]
        if len(digits) > MAX_NUMBER_CHARS:
            return None
        is_percent = self.percent and (
            digits.endswith("%") or text[text.rfind(digits) + len(digits) :].lstrip()[:1] == "%"
        )
        value = float(SEPARATOR.sub("", digits.rstrip("%")))
        return value / 100 if is_percent else value


def _has_digits(number: str) -> bool:
    """Before its exponent: `e1` is a name, and no number."""
    return any(c.isdigit() for c in number.lower().partition("e")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonMatch:
    """The answer is JSON that fits a schema, and equals a value where one is given."""

    name: str = field(default="json", init=False)
    schema: dict[str, Any] = field(default_factory=dict[str, Any])
    """Draft 2020-12; what it refers to must be in it"""
    expected: Any = None
    """None compares nothing. Numbers equal as in JSON: 1 and 1.0 are the same"""

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        text = bounded(attempt.answer)
        try:
            value = json.loads(unfenced(text))
        except (ValueError, RecursionError) as problem:
            return reward(self, False, got=text, problem=f"not JSON: {problem}"[:MAX_SHOWN_CHARS])
        if fault := self._fault(value):
            return reward(self, False, got=text, problem=fault)
        is_right = self.expected is None or same_json(value, self.expected)
        return reward(self, is_right, got=text, expected=self.expected)

    def checking(self) -> Any:
        """What checks answers by the schema. Raises: GradingFailed."""
        try:
            return validator_of(self.schema)
        except UnusableSchema as wrong:
            raise GradingFailed(
                f"The task's schema cannot be used: {wrong}.", "Mend the task."
            ) from wrong

    def _fault(self, value: Any) -> str | None:
        validator = self.checking()
        try:
            error = next(validator.iter_errors(value), None)
        except RecursionError:
            return "nested too deeply"
        return f"{error.json_path}: {error.message}"[:MAX_SHOWN_CHARS] if error else None


def same_json(left: object, right: object) -> bool:
    """Equal as JSON: true is not 1, the order of an object's keys does not matter."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        items, others = cast("list[object]", left), cast("list[object]", right)
        return len(items) == len(others) and all(map(same_json, items, others))
    if isinstance(left, dict) and isinstance(right, dict):
        ours, theirs = cast("dict[str, object]", left), cast("dict[str, object]", right)
        return ours.keys() == theirs.keys() and all(same_json(ours[k], theirs[k]) for k in ours)
    return bool(left == right)


def bounded(answer: str) -> str:
    return answer[:MAX_ANSWER_CHARS]


def reward(verifier: Any, is_right: bool, **detail: Any) -> Reward:
    """1 or 0, with what it was judged by, texts shortened."""
    shown = {
        key: value[:MAX_SHOWN_CHARS] if isinstance(value, str) else value
        for key, value in detail.items()
        if value is not None
    }
    return Reward(
        value=float(is_right), source=verifier.name, version=verifier.version, detail=shown
    )
