"""PNG pictures that a page may show: made anew of the chunks that hold pixels.

Covers: texts, profiles and whatever else travels inside a file or behind its end, which nobody
redacted; sizes that would take a browser's memory. Does not cover: what the pixels show, and
errors in a browser's decoder.
Source: W3C, Portable Network Graphics (PNG) Specification, 5 and 11.
"""

import base64
import binascii
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
MAX_CHARS = 8_000_000
MAX_PIXELS = 40_000_000


def png_address(encoded: object) -> str:
    """The `data:` address of a picture in base64; empty for what is no PNG to be shown."""
    if not isinstance(encoded, str) or len(encoded) > MAX_CHARS:
        return ""
    try:
        content = base64.b64decode(encoded, validate=True)
        pixels = b"".join(chunks(content))
    except ValueError:  # binascii.Error is one
        return ""
    return f"data:image/png;base64,{base64.b64encode(SIGNATURE + pixels).decode()}"


def chunks(content: bytes) -> Iterator[bytes]:
    """Those that hold pixels, with their lengths and checksums. Raises: ValueError."""
    if not content.startswith(SIGNATURE):
        raise ValueError("no PNG")
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        length, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        end = at + 12 + length
        body = content[at + 8 : end - 4]
        if end > len(content) or binascii.crc32(kind + body) != int.from_bytes(
            content[end - 4 : end]
        ):
            raise ValueError("damaged")
        if (kind == b"IHDR") != (at == len(SIGNATURE)):
            raise ValueError("does not begin with its header")
        if kind == b"IHDR" and int.from_bytes(body[:4]) * int.from_bytes(body[4:8]) > MAX_PIXELS:
            raise ValueError("too large")
        if kind in KEPT:
            yield content[at:end]
        at = end
