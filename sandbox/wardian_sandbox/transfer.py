"""Files into a box and out of it, in parts, by the file operations done inside.

Covers: whatever is at the path is read and written by descriptor inside the box, so no link leads
out; sizes are bounded here whatever the file grows to meanwhile; the digest is made from the bytes
that came. Does not cover: a file that the guest changes between two parts comes out mixed.
"""

import asyncio
import base64
import binascii
import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from wardian_sandbox.inner.frames import BadFrame
from wardian_sandbox.kinds import mime_of
from wardian_sandbox.types import Artefact, FileFailure, FileReference

PART_BYTES = 4 << 20
MAX_BYTES = 256 << 20
HEAD_BYTES = 16

Operation = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any] | FileFailure]]
"""`file` of a box, with the confinement filled in"""


async def refer(do: Operation, path: str) -> FileReference | FileFailure:
    """What a file in the box is, without its bytes. Raises: BadFrame."""
    answer = await do("refer", {"path": path})
    if isinstance(answer, FileFailure):
        return answer
    name, size, digest = answer.get("path"), answer.get("size_bytes"), answer.get("sha256")
    if not (isinstance(name, str) and isinstance(size, int) and isinstance(digest, str)):
        raise BadFrame("a reference that is none")
    head = _decoded(answer.get("head"))
    return FileReference(path=name, size_bytes=size, mime=mime_of(name, head), sha256=digest)


async def get(do: Operation, path: str, max_bytes: int) -> Artefact | FileFailure:
    """A file of the box with its bytes. Raises: BadFrame."""
    content = bytearray()
    while True:
        most = min(PART_BYTES, max_bytes + 1 - len(content))
        answer = await do("get", {"path": path, "offset": len(content), "max_bytes": most})
        if isinstance(answer, FileFailure):
            return answer
        part = _decoded(answer.get("content"))
        content += part
        # The size as it is now, so that a large file is not brought here in vain; it may grow.
        size = answer.get("size_bytes")
        if max(len(content), size if isinstance(size, int) else 0) > max_bytes:
            message = f"{path!r} has more than {max_bytes} bytes"
            return FileFailure(code="too_large", message=message)
        if len(part) < most:
            break
    reference = FileReference(
        path=path,
        size_bytes=len(content),
        mime=mime_of(path, bytes(content[:HEAD_BYTES])),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return Artefact(reference=reference, content=bytes(content))


async def put(do: Operation, path: str, content: bytes | Path) -> FileReference | FileFailure:
    """Put a new file at `path` in the box; whole, or not at all. Raises: BadFrame, OSError."""
    data = content if isinstance(content, bytes) else await asyncio.to_thread(content.read_bytes)
    if len(data) > MAX_BYTES:
        return FileFailure(code="too_large", message=f"a file has at most {MAX_BYTES} bytes")
    upload = os.urandom(8).hex()
    for start in range(0, len(data) or 1, PART_BYTES):
        answer = await do(
            "put",
            {
                "path": path,
                "content": base64.b64encode(data[start : start + PART_BYTES]).decode(),
                "upload": upload,
                "is_first": start == 0,
                "is_last": start + PART_BYTES >= len(data),
            },
        )
        if isinstance(answer, FileFailure):
            return answer
    return FileReference(
        path=path,
        size_bytes=len(data),
        mime=mime_of(path, data[:HEAD_BYTES]),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise BadFrame("content that is none")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as problem:
        raise BadFrame("content that is not base64") from problem
