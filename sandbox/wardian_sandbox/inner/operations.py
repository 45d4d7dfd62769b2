"""The file operations by name, their arguments checked, their problems made into failures."""

from __future__ import annotations

import errno

from wardian_sandbox.inner.places import Box, Refused
from wardian_sandbox.inner.reading import describe, list_entries, read
from wardian_sandbox.inner.searching import search
from wardian_sandbox.inner.transfer import get, put, refer
from wardian_sandbox.inner.writing import edit, write

MAX_READ_BYTES = 4 << 20
MAX_ENTRIES = 20_000
PROBLEMS = {
    errno.EACCES: ("denied", "permission denied"),
    errno.EPERM: ("denied", "permission denied"),
    errno.EROFS: ("denied", "the workspace is read-only"),
    errno.ENOSPC: ("full", "no space is left"),
    errno.EDQUOT: ("full", "the disk quota is used up"),
    errno.EFBIG: ("too_large", "the file would be larger than the limit allows"),
    errno.EISDIR: ("is_directory", "it is a folder"),
    errno.ENOTDIR: ("not_directory", "a part of the path is not a folder"),
    errno.ENOENT: ("missing", "it went away meanwhile"),
    errno.ELOOP: ("failed", "it was replaced by a link meanwhile"),
    errno.ENAMETOOLONG: ("invalid", "the name is too long"),
}


def perform(box: Box, operation: str, arguments: dict[str, object]) -> dict[str, object]:
    """{"ok": result} or {"failure": {"code", "message"}}."""
    try:
        return {"ok": _perform(box, operation, _Arguments(arguments))}
    except Refused as refused:
        return _failure(refused.code, refused.message)
    except OSError as problem:
        code, reason = PROBLEMS.get(problem.errno or 0, ("failed", str(problem.strerror)))
        return _failure(code, f"{arguments.get('path', '.')!r}: {reason}")
    except UnicodeError as problem:
        return _failure("invalid", f"the text cannot be written as UTF-8: {problem}")
    except MemoryError:
        return _failure("too_large", "it takes more memory than the sandbox may use")


def _failure(code: str, message: str) -> dict[str, object]:
    text = message.encode("utf-8", "replace").decode("utf-8")
    return {"failure": {"code": code, "message": text}}


def _perform(box: Box, operation: str, given: _Arguments) -> object:
    if operation == "read":
        start, end = given.number("start_line", 1), given.maybe_number("end_line")
        if start < 1 or (end is not None and end < start):
            raise Refused("invalid", "lines count from 1, and end_line is not before start_line")
        most = min(max(given.number("max_bytes", 64 << 10), 1), MAX_READ_BYTES)
        return read(box, given.text("path"), start, end, most)
    if operation == "write":
        return write(box, given.text("path"), given.text("content"))
    if operation == "edit":
        old, new = given.text("old"), given.text("new")
        return edit(box, given.text("path"), old, new, given.flag("replace_all"))
    if operation == "list":
        most = min(max(given.number("max_entries", 1000), 1), MAX_ENTRIES)
        return list_entries(box, given.text("path", "."), given.maybe_text("pattern"), most)
    if operation == "search":
        most = min(max(given.number("max_matches", 100), 1), MAX_ENTRIES)
        pattern, path = given.text("pattern"), given.text("path", ".")
        return search(box, pattern, path, given.maybe_text("glob"), given.flag("ignore_case"), most)
    if operation == "stat":
        return describe(box, given.text("path"))
    if operation == "get":
        offset = max(given.number("offset", 0), 0)
        return get(box, given.text("path"), offset, max(given.number("max_bytes", 1 << 20), 0))
    if operation == "put":
        first, last = given.flag("is_first"), given.flag("is_last")
        return put(
            box, given.text("path"), given.text("content"), given.text("upload"), first, last
        )
    if operation == "refer":
        return refer(box, given.text("path"))
    known = "read, write, edit, list, search, stat, get, put, refer"
    raise Refused("invalid", f"no file operation {operation!r}; there are {known}")


class _Arguments:
    """Arguments as they came in a frame, taken out by type."""

    def __init__(self, given: dict[str, object]) -> None:
        self._given = given

    def text(self, name: str, default: str | None = None) -> str:
        value = self._given.get(name, default)
        if not isinstance(value, str):
            raise Refused("invalid", f"{name} must be text")
        return value

    def maybe_text(self, name: str) -> str | None:
        return None if self._given.get(name) is None else self.text(name)

    def number(self, name: str, default: int | None = None) -> int:
        value = self._given.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Refused("invalid", f"{name} must be a whole number")
        return value

    def maybe_number(self, name: str) -> int | None:
        return None if self._given.get(name) is None else self.number(name)

    def flag(self, name: str) -> bool:
        value = self._given.get(name, False)
        if not isinstance(value, bool):
            raise Refused("invalid", f"{name} must be true or false")
        return value
