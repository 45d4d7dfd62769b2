"""Bytes as text, where what a server declares may be wrong.

A byte order mark decides; then UTF-8 where the bytes are UTF-8, since text of another encoding
hardly ever is; then what the header, then what the page declares, if the bytes fit it; then a guess
by the text itself. Source: WHATWG HTML, "Determining the character encoding", in another order.
"""

import codecs
import re

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""")
HEAD_BYTES = 2048
GUESS_BYTES = 1 << 16
ALIASES = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252"}
"""As browsers read them. Source: WHATWG Encoding, 4.2."""


def decoded(body: bytes, content_type: str) -> tuple[str, str]:
    """The text, and the encoding it was in."""
    for mark, name in MARKS:
        if body.startswith(mark):
            return body.decode(name, "replace"), name.removesuffix("-sig")
    header = DECLARED.search(content_type.encode("ascii", "replace"))
    page = DECLARED.search(body[:HEAD_BYTES])
    declared = [match[1].decode("ascii").lower() for match in (header, page) if match]
    for name in ("utf-8", *declared):
        text = _strictly(body, name)
        if text is not None:
            return text, name
    return _guessed(body, declared)


def _strictly(body: bytes, name: str) -> str | None:
    try:
        text = body.decode(ALIASES.get(name, name))
    except UnicodeDecodeError as problem:
        # A body that was cut may end in the middle of a character.
        is_cut = problem.end == len(body) and problem.start >= len(body) - 3
        return body[: problem.start].decode(name) if is_cut and name == "utf-8" else None
    except (LookupError, ValueError, AttributeError):  # no encoding of text
        return None
    return text


def _guessed(body: bytes, declared: list[str]) -> tuple[str, str]:
    from charset_normalizer import from_bytes

    best = from_bytes(body[:GUESS_BYTES]).best()
    name = best.encoding if best else (declared or ["utf-8"])[0]
    try:
        return body.decode(name, "replace"), name
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace"), "utf-8"
