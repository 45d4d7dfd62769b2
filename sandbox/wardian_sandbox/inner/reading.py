"""File operations that only look: read, stat, list."""

from __future__ import annotations

import os
import stat

from wardian_sandbox.inner.globs import ListPattern
from wardian_sandbox.inner.places import Box, Place, Refused

BOM = b"\xef\xbb\xbf"
CHUNK_BYTES = 1 << 20
SNIFF_BYTES = 8 << 10
MAX_VISITED = 200_000
MAX_DEPTH = 64


def read(box: Box, path: str, start_line: int, end_line: int | None, max_bytes: int) -> object:
    """Some lines of a text file; the file is never held whole."""
    place = box.to_read(path)
    fd, status = open_file(box, place, path)
    with os.fdopen(fd, "rb", buffering=0) as file:
        wanted = None if end_line is None else end_line - start_line + 1
        lines = _Lines(start_line, wanted, max_bytes)
        first = True
        while chunk := file.read(CHUNK_BYTES):
            if first and b"\0" in chunk[:SNIFF_BYTES]:
                raise _binary(path, status.st_size)
            lines.take(chunk[len(BOM) :] if first and chunk.startswith(BOM) else chunk)
            first = False
    if lines.total < start_line and not (start_line == 1 and lines.total == 0):
        raise Refused("invalid", f"{path!r} has {lines.total} lines, none at {start_line}")
    data, truncated = lines.chosen()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise _binary(path, status.st_size) from None
    if "\0" in text:
        raise _binary(path, status.st_size)
    shown = data.count(b"\n") + (0 if not data or data.endswith(b"\n") else 1)
    return {
        "text": text.replace("\r\n", "\n"),
        "start_line": start_line,
        "end_line": start_line + shown - 1,
        "total_lines": lines.total,
        "size_bytes": status.st_size,
        "truncated": truncated,
    }


class _Lines:
    """Picks lines out of chunks, and counts all of them."""

    def __init__(self, start: int, wanted: int | None, limit: int) -> None:
        self._skip = start - 1
        self._wanted = wanted
        self._limit = limit
        self._kept = bytearray()
        self._newlines = 0
        self._open = False

    @property
    def total(self) -> int:
        return self._newlines + self._open

    def take(self, chunk: bytes) -> None:
        newlines = chunk.count(b"\n")
        if self._newlines + newlines >= self._skip and len(self._kept) <= self._limit + 4:
            begin = 0
            for _ in range(self._skip - self._newlines):
                begin = chunk.index(b"\n", begin) + 1
            self._kept += chunk[begin : begin + self._limit + 4]
        self._newlines += newlines
        self._open = not chunk.endswith(b"\n") if chunk else self._open

    def chosen(self) -> tuple[bytes, bool]:
        """The lines asked for, and whether some of them had to be left out."""
        data = bytes(self._kept)
        if self._wanted is not None:
            end = 0
            for _ in range(self._wanted):
                end = data.find(b"\n", end) + 1
                if end == 0:
                    end = len(data)
                    break
            data = data[:end]
        if len(data) <= self._limit:
            return data, False
        cut = data.rfind(b"\n", 0, self._limit) + 1 or self._limit
        while cut and cut < len(data) and data[cut] & 0xC0 == 0x80:
            cut -= 1
        return data[:cut], True


def open_file(box: Box, place: Place, path: str) -> tuple[int, os.stat_result]:
    """A regular file open for reading. Raises: Refused for all else."""
    if place.missing:
        raise missing(box, place, path)
    # O_NONBLOCK, so that a named pipe put there cannot make us wait.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(place.name, flags, dir_fd=place.folder)
    except FileNotFoundError:
        raise missing(box, place, path) from None
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode):
        return fd, status
    os.close(fd)
    if stat.S_ISDIR(status.st_mode):
        raise Refused("is_directory", f"{path!r} is a folder, not a file")
    raise Refused("not_text", f"{path!r} is neither a file nor a folder")


def missing(box: Box, place: Place, path: str) -> Refused:
    """No such file; with the nearest name that there is."""
    import difflib

    wanted = (place.missing or [place.name])[0]
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place.folder)
    try:
        there = [name for name in os.listdir(folder)[:5000] if printable(name) == name]
    finally:
        os.close(folder)
    before = place.relative.split("/")[: -1 - len(place.missing)]
    there = [name for name in there if box.is_readable("/".join([*before, name]))]
    near = difflib.get_close_matches(wanted, there, n=3, cutoff=0.5)
    hint = " or ".join(repr("/".join([*before, name])) for name in near)
    return Refused("missing", f"no file {path!r}" + (f"; did you mean {hint}?" if near else ""))


def _binary(path: str, size: int) -> Refused:
    return Refused("binary", f"{path!r} is not UTF-8 text ({size} bytes)")


def describe(box: Box, path: str) -> object:
    """What is at a path."""
    place = box.to_look(path)
    status = place.status()
    if status is None:
        raise missing(box, place, path)
    return {
        "path": printable(place.relative) or ".",
        "kind": kind_of(status.st_mode),
        "size_bytes": status.st_size,
        "mode": stat.S_IMODE(status.st_mode),
        "modified_seconds": status.st_mtime,
    }


def list_entries(box: Box, path: str, pattern: str | None, max_entries: int) -> object:
    """Names under a folder, sorted; below its own entries only if the pattern says so."""
    place = box.to_look(path)
    if place.missing or place.status() is None:
        raise missing(box, place, path)
    listing = _Listing(box, pattern, max_entries)
    folder = open_folder(place, path)
    try:
        listing.walk(folder, place.relative, "")
    finally:
        os.close(folder)
    return {"entries": listing.entries, "truncated": listing.truncated}


class _Listing:
    def __init__(self, box: Box, pattern: str | None, limit: int) -> None:
        self._box = box
        self._pattern = ListPattern(pattern or "*")
        self._depth = MAX_DEPTH if self._pattern.is_recursive else self._pattern.depth
        self._limit = limit
        self._visited = 0
        self.entries: list[dict[str, object]] = []
        self.truncated = False

    def walk(self, folder: int, inside: str, below: str) -> None:
        """Entries of an open folder that is `inside` in the workspace, `below` in the listing."""
        for name in sorted(os.listdir(folder)):
            self._visited += 1
            if len(self.entries) >= self._limit or self._visited > MAX_VISITED:
                self.truncated = True
            if self.truncated:
                return
            if name.startswith(".") and not self._pattern.names_hidden:
                continue
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except OSError:
                continue  # gone since it was listed
            self._see(folder, f"{inside}/{name}".lstrip("/"), f"{below}{name}", status)

    def _see(self, folder: int, inside: str, below: str, status: os.stat_result) -> None:
        is_folder = stat.S_ISDIR(status.st_mode)
        if self._pattern.is_match(below) and (is_folder or self._box.is_readable(inside)):
            entry = {"path": printable(inside), "kind": kind_of(status.st_mode)}
            if len(self.entries) >= self._limit:
                self.truncated = True
                return
            self.entries.append({**entry, "size_bytes": 0 if is_folder else status.st_size})
        if is_folder and below.count("/") + 1 < self._depth:
            name = below.rpartition("/")[2]
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                inner = os.open(name, flags, dir_fd=folder)
            except OSError:
                return
            try:
                self.walk(inner, inside, f"{below}/")
            finally:
                os.close(inner)


def open_folder(place: Place, path: str) -> int:
    """A folder open for reading."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(place.name, flags, dir_fd=place.folder)
    except NotADirectoryError:
        raise Refused("not_directory", f"{path!r} is a file, not a folder") from None


def kind_of(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISLNK(mode):
        return "link"
    return "file" if stat.S_ISREG(mode) else "special"


def printable(name: str) -> str:
    """A file name as valid Unicode; bytes that are not UTF-8 are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
