"""File operations that carry bytes: put a file into the box, get one out, say what one is."""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat

from wardian_sandbox.inner.places import Box, Place, Refused
from wardian_sandbox.inner.reading import open_file, printable
from wardian_sandbox.inner.writing import make_folders, must_be_file

MAX_PART_BYTES = 8 << 20
MAX_HASHED_BYTES = 1 << 30
CHUNK_BYTES = 1 << 20
UPLOAD = re.compile(r"[0-9a-f]{16}")


def get(box: Box, path: str, offset: int, max_bytes: int) -> object:
    """Bytes of a regular file from `offset` on."""
    fd, status = open_file(box, box.to_read(path), path)
    try:
        content = os.pread(fd, min(max_bytes, MAX_PART_BYTES), offset)
    finally:
        os.close(fd)
    return {"content": base64.b64encode(content).decode(), "size_bytes": status.st_size}


def refer(box: Box, path: str) -> object:
    """Size, digest and first bytes of a regular file, so that it can be named without its bytes."""
    import hashlib

    place = box.to_read(path)
    fd, status = open_file(box, place, path)
    with os.fdopen(fd, "rb", buffering=0) as file:
        if status.st_size > MAX_HASHED_BYTES:
            raise Refused("too_large", f"{path!r} has {status.st_size} bytes, too many to refer to")
        digest, size, head = hashlib.sha256(), 0, b""
        # It may grow as fast as it is read.
        while size <= MAX_HASHED_BYTES and (chunk := file.read(CHUNK_BYTES)):
            digest.update(chunk)
            head, size = head or chunk[:16], size + len(chunk)
    return {
        "path": printable(place.relative),
        "size_bytes": size,
        "sha256": digest.hexdigest(),
        "head": base64.b64encode(head).decode(),
    }


def put(box: Box, path: str, content: str, upload: str, is_first: bool, is_last: bool) -> object:
    """A part of a new file, written beside `path`; the last part renames it to `path`."""
    place = box.to_write(path)
    status = place.status()
    if status is not None:
        must_be_file(status, path)
    if UPLOAD.fullmatch(upload) is None:
        raise Refused("invalid", "upload must be 16 hexadecimal digits")
    try:
        data = base64.b64decode(content, validate=True)
    except binascii.Error:
        raise Refused("invalid", "content must be base64") from None
    make_folders(place)
    temporary = f".wardian-{upload}"
    size = _append(place, temporary, data, is_first)
    if is_last:
        os.rename(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    return {"size_bytes": size, "created": status is None}


def _append(place: Place, name: str, data: bytes, is_first: bool) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    flags |= os.O_CREAT | os.O_EXCL if is_first else 0
    fd = os.open(name, flags, 0o666, dir_fd=place.folder)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Refused("failed", "the file that is put was replaced meanwhile")
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        return os.fstat(fd).st_size
    except OSError:
        os.unlink(name, dir_fd=place.folder)
        raise
    finally:
        os.close(fd)
