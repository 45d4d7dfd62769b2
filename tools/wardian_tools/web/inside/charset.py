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
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
HEAD_BYTES = 2048
GUESS_BYTES = 1 << 16
LEAST_BYTES = 100
"""With fewer that are not ASCII a guess is worse than what most of the old web is in."""
OLD_WEB = "cp1252"
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
    return _guessed(body)


def is_wide(body: bytes, content_type: str) -> bool:
    """Is it text of two bytes a character, where zeros are no sign of anything else?"""
    return body.startswith(UTF_16) or "utf-16" in content_type.lower()


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


def _guessed(body: bytes) -> tuple[str, str]:
    from charset_normalizer import from_bytes

    sample = body[:GUESS_BYTES]
    is_enough = sum(byte > 0x7F for byte in sample) >= LEAST_BYTES
    best = from_bytes(sample).best() if is_enough else None
    name = best.encoding if best else OLD_WEB
    return body.decode(name, "replace"), name
