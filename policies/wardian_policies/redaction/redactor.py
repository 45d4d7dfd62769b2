"""What is replaced in a text before it is sent, written or shown.

In this order: registered values, in any encoding; one's own patterns; then, where they apply,
secrets told by structure and by form, and personal data, which gets pseudonyms. Only registered
values are a promise. The rest is best effort; `agent privacy report` says how good.

Works on decoded strings. A JSON value is walked, never searched as text. The detectors are imported
where they apply: before a local model none does.
"""

import base64
import binascii
import json
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from operator import is_
from typing import Any, TypeVar, cast

from wardian_policies.redaction.engine import Bytes, compiled, matches
from wardian_policies.redaction.pseudonyms import Pseudonyms
from wardian_policies.redaction.stream import StreamFilter, cut_out
from wardian_policies.redaction.values import HeldBack, KnownValues, Span, merged
from wardian_policies.tables import RedactionRules

T = TypeVar("T")
MARK = re.compile(r"\[REDACTED:[^\[\]\n]{1,100}\]")
NUMBERS = frozenset({int, float, bool, type(None)})
ATOMS = (int, float, bool, bytes, type(None))


def mark(name: str) -> str:
    """What stands in the place of a secret, in characters that JSON leaves as they are."""
    return f"[REDACTED:{re.sub(r'[^A-Za-z0-9_./~() -]', '_', name)[:80]}]"


@dataclass(frozen=True, slots=True)
class Detectors:
    """Which of the best-effort layers apply."""

    structure: bool = False
    rules: bool = False
    personal: bool = False
    patterns: tuple[str, ...] = ()

    @classmethod
    def of(cls, rules: RedactionRules, *, is_local: bool) -> "Detectors":
        """Before a model on this machine one's own patterns alone: nothing leaves it."""
        if is_local:
            return cls(patterns=rules.patterns)
        return cls(rules.structure, rules.rules, rules.personal, rules.patterns)

    def __bool__(self) -> bool:
        return self.structure or self.rules or self.personal or bool(self.patterns)


class Redactor:
    """Hides what a run must not give away. The same text gives the same result."""

    def __init__(
        self,
        known: Mapping[str, str],
        detectors: Detectors = Detectors(),
        pseudonyms: Pseudonyms | None = None,
        ignore: tuple[str, ...] = (),
    ) -> None:
        self.known = KnownValues(known)
        self.detectors = detectors
        self.pseudonyms = Pseudonyms() if pseudonyms is None else pseudonyms
        self._ignore = frozenset(ignore)
        self._held: HeldBack | None = None

    def __bool__(self) -> bool:
        """Is there anything to look for?"""
        return bool(self.known) or bool(self.detectors) or len(self.pseudonyms) > 0

    def text(self, text: str) -> str:
        """The text without what must be hidden."""
        if self.known:
            text = cut_out(text, self.known.find(text), mark)
        if not self.detectors and not len(self.pseudonyms):
            return text
        spans = [span for span in self._detected(text) if not self._is_ignored(text, span)]
        return self._pseudonymised(cut_out(text, spans, mark))

    def value(self, value: T) -> T:
        """A JSON value, a dataclass, or a mixture, with every text in it hidden.

        The value itself where nothing in it had to be.
        """
        return cast("T", self._value(value))

    def stream(self) -> StreamFilter:
        """For text that arrives in pieces: takes out registered values."""
        if self._held is None:
            self._held = HeldBack(self.known)
        return StreamFilter(self.known, self._held, mark)

    def _detected(self, text: str) -> list[Span]:
        """Secrets told by form, but not inside what is hidden already."""
        detectors = self.detectors
        if not (detectors.structure or detectors.rules or detectors.patterns):
            return []
        from wardian_policies.redaction.rules import find_tokens
        from wardian_policies.redaction.structure import find_shapes

        read = Bytes(text)
        found = [span for pattern in detectors.patterns for span in find_own(pattern, read)]
        if detectors.structure:
            found += find_shapes(read)
        if detectors.rules:
            found += find_tokens(read)
        return merged([s for s in found if not MARK.search(text[s.start : s.end])]) if found else []

    def _is_ignored(self, text: str, span: Span) -> bool:
        return text[span.start : span.end] in self._ignore

    def _pseudonymised(self, text: str) -> str:
        pseudonyms = self.pseudonyms
        text = cut_out(text, pseudonyms.find_known(text), str)
        if not self.detectors.personal:
            return text
        from wardian_policies.redaction.personal import find_personal

        spans = [s for s in find_personal(Bytes(text)) if not self._is_ignored(text, s)]
        spans.sort(key=lambda span: span.start)
        named = [Span(s.start, s.end, pseudonyms.of(s.name, text[s.start : s.end])) for s in spans]
        return cut_out(text, named, str)

    def _value(self, value: Any) -> Any:
        if type(value) is str:
            return self.text(value)
        if isinstance(value, (*ATOMS, str)):  # the texts of enumerations
            return value
        if isinstance(value, Mapping):
            return self._mapping(value)  # pyright: ignore[reportUnknownArgumentType] — JSON
        if isinstance(value, list | tuple):
            items: Any = value  # pyright: ignore[reportUnknownVariableType] — JSON
            if NUMBERS.issuperset(map(type, items)):
                return items  # such as token ids and their probabilities
            hidden = [self._value(item) for item in items]
            is_same = all(map(is_, hidden, items))
            return items if is_same else type(items)(hidden)
        if is_dataclass(value) and not isinstance(value, type):
            return self._dataclass(value)
        return value

    def _mapping(self, mapping: Mapping[Any, Any]) -> Mapping[Any, Any]:
        hidden = {
            self._value(key): self._encoded(item) if key == "base64" else self._value(item)
            for key, item in mapping.items()
        }
        return (
            mapping
            if all(map(is_, hidden.values(), mapping.values())) and (list(hidden) == list(mapping))
            else hidden
        )

    def _dataclass(self, value: Any) -> Any:
        changed = {
            name: hidden
            for name in field_names(cast("Hashable", type(value)))
            if (hidden := self._field(name, old := getattr(value, name))) is not old
        }
        return replace(value, **changed) if changed else value

    def _field(self, name: str, value: Any) -> Any:
        if name == "arguments_text" and isinstance(value, str):
            return self.json_text(value)
        return self._value(value)

    def json_text(self, text: str) -> str:
        """JSON, hidden by its decoded values; as ordinary text where it is none."""
        try:
            decoded = json.loads(text)
        except (ValueError, RecursionError):
            return self.text(text)
        hidden = self._value(decoded)
        return text if hidden is decoded else json.dumps(hidden, ensure_ascii=False)

    def _encoded(self, value: Any) -> Any:
        """A file in base64: masked inside, in its own length, so that the file stays one."""
        if not isinstance(value, str) or not self.known:
            return value
        try:
            content = base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error):
            return self._value(value)
        masked = content
        for needle in self.known.plain:
            encoded = needle.encode("utf-8", "surrogatepass")
            masked = masked.replace(encoded, b"*" * len(encoded))
        value = value if masked == content else base64.b64encode(masked).decode()
        return cut_out(value, self.known.find(value), mark)


@cache
def field_names(kind: Any) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind) if item.init)


@cache
def own_pattern(pattern: str) -> Any:
    return compiled(pattern)


def find_own(pattern: str, text: Bytes) -> Iterator[Span]:
    for start, end in matches(own_pattern(pattern), text):
        yield Span(text.characters(start), text.characters(end), "your pattern")
