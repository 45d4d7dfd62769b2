"""Secrets told by what stands before them: headers, passwords in URLs, parameters named like keys.

Covers: Authorization, Bearer and Basic, Cookie; `scheme://user:password@host`; `api_key=…`,
`"client_secret": "…"`, `PASSWORD: …` and the like; private keys in PEM.
Does not cover: a password in running text, and values that look like words or code.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from wardian_policies.redaction.engine import Bytes, compiled, matches
from wardian_policies.redaction.randomness import CODE, looks_random
from wardian_policies.redaction.values import Span

QUOTES = r"""[\\"'`]{0,4}"""
KEYLIKE = (
    r"(?:api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|auth[_-]?key|account[_-]?key"
    r"|encryption[_-]?key|signing[_-]?key|x-api-key|secret|token|passw(?:or)?d|passwd|pwd"
    r"|passphrase|credential|sessionid|session[_-]id)"
)
VALUE = r"""(?P<value>[^\s"'`\\&,;<>(){}\[\]|]{6,400})"""
PATTERNS = {
    "authorization header": (
        r"(?i)authorization" + QUOTES + r"\s{0,4}[:=]\s{0,4}" + QUOTES
        + r"(?:(?:bearer|basic|token|digest|apikey|negotiate|bot)\s{1,4})?"
        + r"""(?P<value>[^\s"'`\\,;]{8,4000})"""
    ).replace("4000", "1000"),
    "bearer token": r"(?i)\b(?:bearer|basic)\s{1,4}(?P<value>[A-Za-z0-9._~+/=-]{16,1000})",
    "cookie": r"(?i)\bcookie:[ \t]{0,4}(?P<value>[^\r\n]{8,1000})",
    "password in URL": (
        r"""[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@"'<>]{0,100}:(?P<value>[^\s/@"'<>]{3,200})@"""
    ),
    "key parameter": (
        r"(?i)" + KEYLIKE + r"[a-z0-9_-]{0,20}" + QUOTES + r"\s{0,4}(?:=>|:=|=|:)\s{0,4}"
        + QUOTES + VALUE
    ),
    "private key": (
        r"-----BEGIN[A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,20}-----(?P<value>[^-]{16,})"
    ),
}  # fmt: skip
GATE = (
    r"(?i)authorization|bearer|basic |cookie:|://[^\s/:@]{0,100}:|PRIVATE KEY|"
    + KEYLIKE.replace("(?:", "", 1).removesuffix(")")
)
MIXED = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    pattern: Any
    is_secret: Callable[[str], bool]


def is_credential(value: str) -> bool:
    """After `Authorization:` letters alone may be a secret too, where they mix cases."""
    return looks_random(value) or (MIXED.fullmatch(value) is not None and value != value.lower())


def is_given(value: str) -> bool:
    """Where only a secret can stand, whatever it looks like, unless it stands for one."""
    return not CODE.match(value)


@cache
def shapes() -> tuple[Any, tuple[Shape, ...]]:
    sure = ("password in URL", "private key", "cookie")
    checks = {**dict.fromkeys(sure, is_given), "authorization header": is_credential}
    return compiled(GATE), tuple(
        Shape(name, compiled(pattern), checks.get(name, looks_random))
        for name, pattern in PATTERNS.items()
    )


def find_shapes(text: Bytes) -> Iterator[Span]:
    """Where secrets stand, in characters."""
    gate, known = shapes()
    if gate.search(text.content) is None:
        return
    for shape in known:
        for start, end in matches(shape.pattern, text):
            if shape.is_secret(text.content[start:end].decode("utf-8", "replace")):
                yield Span(text.characters(start), text.characters(end), shape.name)
