"""What is in a folder, cheaply enough to look after every call."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from wardian_sandbox.errors import SandboxError
from wardian_sandbox.types import FileChange

MAX_FILES = 200_000
MAX_BYTES = 2 << 30
MAX_DEPTH = 128
"""Deeper folders are left out: nothing a person made is there."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
IS_KIND = 0o170000
"""S_IFMT"""
KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


class Entry(NamedTuple):  # there are many, and a tuple is made in a third of the time
    """What tells one state of a path from another. The change time cannot be set by a guest."""

    kind: int
    """stat.S_IFMT of the mode: regular file, folder or link"""
    mode: int
    size: int
    inode: int
    modified_ns: int
    changed_ns: int

    def is_same_content(self, other: "Entry") -> bool:
        """As far as can be told without reading."""
        if self.kind != other.kind or self.mode != other.mode:
            return False
        if stat.S_ISDIR(self.kind):
            return True
        mine = (self.size, self.modified_ns, self.inode)
        return mine == (other.size, other.modified_ns, other.inode)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every file, folder and link under a folder, by relative path."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    total_bytes: int = 0


def entry_of(status: os.stat_result) -> Entry:
    mode = status.st_mode
    return Entry(
        mode & IS_KIND,
        mode & ~IS_KIND,
        status.st_size,
        status.st_ino,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def take_snapshot(root: Path, *, strict: bool = False) -> Snapshot:
    """Look at everything under `root`, by descriptor, following no link.

    Folders that may not be read are left out, unless `strict`.
    Raises: SandboxError when there is too much, or a folder cannot be read and `strict`.
    """
    survey = _Survey(root, strict)
    fd = os.open(root, FOLDER)
    try:
        survey.look(fd, "", 0)
    finally:
        os.close(fd)
    return Snapshot(survey.entries, survey.total_bytes)


class _Survey:
    def __init__(self, root: Path, strict: bool) -> None:
        self._root = root
        self._strict = strict
        self.entries: dict[str, Entry] = {}
        self.total_bytes = 0

    def look(self, folder: int, inside: str, depth: int) -> None:
        with os.scandir(folder) as found:
            entries = list(found)
        for entry in entries:
            try:
                seen = entry_of(entry.stat(follow_symlinks=False))
            except OSError:
                continue  # gone since it was listed
            if seen.kind not in KINDS:
                continue
            path = f"{inside}{entry.name}"
            self.entries[path] = seen
            if seen.kind == stat.S_IFREG:
                self.total_bytes += seen.size
            elif seen.kind == stat.S_IFDIR and depth < MAX_DEPTH:
                self._enter(entry.name, folder, path, depth + 1)
        if len(self.entries) > MAX_FILES:
            raise too_large(self._root, f"more than {MAX_FILES:,} files")

    def _enter(self, name: str, folder: int, path: str, depth: int) -> None:
        try:
            fd = os.open(name, FOLDER, dir_fd=folder)
        except PermissionError as problem:
            if self._strict:
                raise SandboxError(
                    f"The folder {path} in the sandbox's workspace cannot be read any more.",
                    "Make it readable from inside (chmod u+rwx).",
                ) from problem
            return
        except OSError:
            return  # gone, or something else by now
        try:
            self.look(fd, f"{path}/", depth)
        finally:
            os.close(fd)


def too_large(root: Path, how: str) -> SandboxError:
    return SandboxError(
        f"The workspace {root} has {how}, too much to watch for changes.",
        "Choose a smaller folder with --workspace.",
    )


def changes_between(before: Snapshot, after: Snapshot) -> tuple[FileChange, ...]:
    """Files and links that differ, by path. Folders are not named."""
    changes: list[FileChange] = []
    for path in sorted(before.entries.keys() | after.entries.keys()):
        old, new = before.entries.get(path), after.entries.get(path)
        seen = new or old
        assert seen is not None
        if stat.S_ISDIR(seen.kind) and (old is None or old.kind == seen.kind):
            continue
        if old is None:
            changes.append(FileChange(path=path, kind="added"))
        elif new is None:
            changes.append(FileChange(path=path, kind="deleted"))
        elif not old.is_same_content(new):
            changes.append(FileChange(path=path, kind="modified"))
    return tuple(changes)
