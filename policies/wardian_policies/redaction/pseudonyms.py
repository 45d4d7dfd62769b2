"""Personal data under names of its own, which only this side can undo.

`jane@example.org` becomes `[[EMAIL_1:9f2c41d07a]]`. The end is an HMAC under a key of the session:
nobody who has not seen a pseudonym can write one. Restoring fails closed: a text that holds
something like a pseudonym which is not one of these, letter for letter, is refused as a whole.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wardian_policies.redaction.values import Span, merged

NONCE_CHARS = 10
FILE_NAME = "pseudonyms.json"
EXACT = re.compile(rf"\[\[([A-Z]+)_([0-9]+):([0-9a-f]{{{NONCE_CHARS}}})\]\]")
ALIKE = re.compile(
    r"\[{1,2}\s*(?:EMAIL|IBAN|CARD|IP|PHONE|NAME)[_ -]?[0-9]+\s*:"
    r"|\b(?:EMAIL|IBAN|CARD|IP|PHONE|NAME)[_ -]?[0-9]+\s*:\s*[0-9a-f]{4,}",
    re.IGNORECASE,
)
WORD = re.compile(r"\w")


class ForgedPseudonym(ValueError):
    """The text holds something that looks like a pseudonym and is none."""


class Pseudonyms:
    """The pseudonyms of one session: the same value has the same one, and no two share one."""

    def __init__(self, key: bytes | None = None, values: Mapping[str, str] | None = None) -> None:
        self._key = key or os.urandom(32)
        self._by_value: dict[str, str] = {}
        self._values: dict[str, str] = dict(values or {})
        self._counts: dict[str, int] = {}
        for pseudonym, value in self._values.items():
            self._by_value[value] = pseudonym
            kind = pseudonym[2:].partition("_")[0]
            self._counts[kind] = self._counts.get(kind, 0) + 1

    def __len__(self) -> int:
        return len(self._values)

    def of(self, kind: str, value: str) -> str:
        """The value's pseudonym, made at the first asking."""
        if value not in self._by_value:
            import hmac

            self._counts[kind] = number = self._counts.get(kind, 0) + 1
            said = f"{kind}_{number}:{value}".encode("utf-8", "surrogatepass")
            nonce = hmac.digest(self._key, said, "sha256").hex()[:NONCE_CHARS]
            pseudonym = f"[[{kind}_{number}:{nonce}]]"
            self._by_value[value] = pseudonym
            self._values[pseudonym] = value
        return self._by_value[value]

    def find_known(self, text: str) -> list[Span]:
        """Where values stand that already have a pseudonym, whatever a detector says of them."""
        found = [
            Span(at, at + len(value), pseudonym)
            for value, pseudonym in self._by_value.items()
            if value in text
            for at in places(text, value)
        ]
        return merged(found) if found else []

    def restored(self, text: str) -> str:
        """The text with its values. Raises: ForgedPseudonym."""
        if not self._values or not self.is_suspect(text):
            return text
        known = EXACT.sub(lambda m: "" if m[0] in self._values else m[0], text)
        if found := ALIKE.search(known) or self._stray_nonce(known):
            raise ForgedPseudonym(
                f"{found[0]!r} is not a pseudonym of this run, or only part of one."
            )
        return EXACT.sub(lambda m: self._values[m[0]], text)

    def shown(self, text: str) -> str:
        """The text as its user sees it; what is no pseudonym stays as it is."""
        if not self._values or "[[" not in text:
            return text
        return EXACT.sub(lambda m: self._values.get(m[0], m[0]), text)

    def is_suspect(self, text: str) -> bool:
        return bool(ALIKE.search(text) or self._stray_nonce(text))

    def _stray_nonce(self, text: str) -> re.Match[str] | None:
        nonces = (pseudonym[-NONCE_CHARS - 2 : -2] for pseudonym in self._values)
        return next((m for nonce in nonces if (m := re.search(nonce, text))), None)

    def save(self, folder: Path) -> None:
        """Keep them beside a run, for its owner alone, so that it can be resumed and read."""
        target = folder / FILE_NAME
        draft = target.with_suffix(".draft")
        facts = {"key": self._key.hex(), "values": self._values}
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass") as stream:
            json.dump(facts, stream)
        draft.replace(target)

    @classmethod
    def load(cls, folder: Path) -> "Pseudonyms":
        """Those kept beside a run; none where it has none. Raises: OSError, ValueError."""
        target = folder / FILE_NAME
        if not target.exists():
            return cls()
        facts: dict[str, Any] = json.loads(target.read_text("utf-8", "surrogatepass"))
        return cls(bytes.fromhex(facts["key"]), facts["values"])


def places(text: str, value: str) -> list[int]:
    """Where the value stands as a word of its own."""
    found: list[int] = []
    at = text.find(value)
    while at >= 0:
        end = at + len(value)
        inside = (WORD.match(text, at - 1) if at else None) or WORD.match(text, end)
        if not inside:
            found.append(at)
        at = text.find(value, end)
    return found


class PseudonymStream:
    """Restores pseudonyms for the screen in text that arrives in pieces."""

    LONGEST = 64

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._waiting = ""

    def feed(self, piece: str) -> str:
        self._waiting += piece
        at = self._waiting.rfind("[[", max(0, len(self._waiting) - self.LONGEST))
        if at < 0 or "]]" in self._waiting[at:]:
            at = len(self._waiting) - self._waiting.endswith("[")
        ready, self._waiting = self._waiting[:at], self._waiting[at:]
        return self._pseudonyms.shown(ready)

    def finish(self) -> str:
        ready, self._waiting = self._waiting, ""
        return self._pseudonyms.shown(ready)
