"""What kind of file some bytes are."""

import functools
import hashlib

from wardian_sandbox.types import FileReference

PNG = b"\x89PNG\r\n\x1a\n"
SIGNS = (
    (PNG, "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
)
"""First bytes. Source: https://www.iana.org/assignments/media-types and the formats themselves"""
CONTAINERS = {"application/zip", "application/gzip"}
"""Where the name says more than the first bytes."""
UNKNOWN = "application/octet-stream"


@functools.lru_cache(maxsize=256)
def _by_name(name: str) -> str | None:
    import mimetypes  # reads the system's tables, which costs more than all else here

    return mimetypes.guess_type(name)[0]


def mime_of(name: str, head: bytes) -> str:
    """By the first bytes where they tell, else by the name. A name alone proves nothing."""
    named = _by_name(name)
    signed = next((mime for sign, mime in SIGNS if head.startswith(sign)), None)
    if signed in CONTAINERS and named is not None:
        return named
    return signed or named or UNKNOWN


def reference(path: str, content: bytes) -> FileReference:
    """The reference to a file whose bytes are at hand."""
    return FileReference(
        path=path,
        size_bytes=len(content),
        mime=mime_of(path, content[:16]),
        sha256=hashlib.sha256(content).hexdigest(),
    )
