"""Protected paths of a folder that is mounted into a box: what is mounted read-only over it.

Covers: protected paths that are there, and those that are not, for which an empty placeholder is
made and removed again; the folders on the way to them, which are mounted on themselves, so that
they can be neither renamed nor replaced.
Does not cover: patterns with wildcards, and paths through links (`can_mount` says so; such a
workspace is copied, and what is protected is kept on the way out); a protected file that a program
on the host replaces by renaming while the box runs, since that takes the mount away.
"""

import contextlib
import fcntl
import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from wardian_sandbox.inner.globs import FOLDERS, segments_of

WILD = frozenset("*?\\")
BELOW = f"/{FOLDERS}"
CONTENTS = {"commondir": b".\n"}
"""Of placeholders that may not be empty, by their names: git reads this one, and then finds all of
the repository where it is. Source: gitrepository-layout(5)."""
MARK = "user.wardian.placeholder"
"""Extended attribute of what was made here; tells a later run, should this one be killed."""


class Cover(StrEnum):
    """What hides something: an empty thing of its kind, which nobody may change."""

    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Something of the workspace that is mounted on its own place, or covered there."""

    path: str
    """relative to the workspace"""
    read_only: bool
    is_placeholder: bool = False
    """It is there for the mount's sake, and goes with the box."""
    cover: Cover | None = None
    """Of what is hidden; nothing of it is seen in the box."""


@dataclass(frozen=True, slots=True)
class _Plain:
    """A protected path without wildcards."""

    names: tuple[str, ...]
    is_folder: bool

    @property
    def above(self) -> list[str]:
        return ["/".join(self.names[:end]) for end in range(1, len(self.names))]

    @property
    def path(self) -> str:
        return "/".join(self.names)


def can_mount(root: Path, patterns: tuple[str, ...]) -> bool:
    """Can all of these be kept by mounts alone?"""
    plain = [_plain(pattern) for pattern in patterns]
    return all(one is not None and not _has_link(root, one) for one in plain)


class Protection:
    """The mounts that keep protected paths of one folder, and their placeholders."""

    def __init__(
        self, root: Path, patterns: tuple[str, ...], owner: tuple[int, int] | None = None
    ) -> None:
        """Makes the placeholders, as far as the folder can be written; `owner`'s if named."""
        self._root = root
        self._owner = owner
        self._made: list[tuple[Path, int]] = []
        """Placeholders, each held open by a shared lock: the last box to close takes it away."""
        found = [one for one in map(_plain, patterns) if one is not None]
        for one in found:
            if not _has_link(root, one):
                self._make(one)
        self.mounts = tuple(self._mounts(found))

    def remove(self) -> None:
        """Take away the placeholders that no other box needs and nothing was put into."""
        while self._made:
            path, held = self._made.pop()
            try:
                # The removal of what is mounted in another box would take its mount away.
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)
            except OSError:
                continue
            finally:
                os.close(held)

    def release(self) -> None:
        """Leave the placeholders to whoever takes the folder away."""
        while self._made:
            _, held = self._made.pop()
            os.close(held)

    def _make(self, one: _Plain) -> None:
        with contextlib.suppress(OSError):  # then nobody can make it
            for above in one.above:
                self._make_one(self._root / above, is_folder=True)
            self._make_one(self._root / one.path, is_folder=one.is_folder)

    def _make_one(self, path: Path, *, is_folder: bool) -> None:
        made = _make_folder(path) if is_folder else _make_file(path)
        if made:
            if self._owner is not None:
                os.chown(path, *self._owner, follow_symlinks=False)
            with contextlib.suppress(OSError):  # not every file system has them
                os.setxattr(path, MARK, b"", follow_symlinks=False)
        if made or _is_left(path):
            held = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            fcntl.flock(held, fcntl.LOCK_SH)
            self._made.append((path, held))

    def _mounts(self, found: list[_Plain]) -> list[Mount]:
        """Outer ones first. A file where a folder should be is read-only: it leads elsewhere."""
        writable: dict[str, bool] = {}
        for one in found:
            if _has_link(self._root, one):
                continue
            for above in one.above:
                writable.setdefault(above, (self._root / above).is_dir())
            writable[one.path] = False
        made = {path for path, _ in self._made}
        return [
            Mount(
                path=path,
                read_only=not writable[path],
                is_placeholder=self._root / path in made,
            )
            for path in sorted(writable)
            if (self._root / path).exists()
        ]


def clear_left(root: Path, patterns: tuple[str, ...]) -> None:
    """Take away the placeholders of boxes that were killed, unless another box needs them."""
    for one in map(_plain, patterns):
        if one is not None and not _has_link(root, one):
            for path in (one.path, *reversed(one.above)):
                _clear(root / path)


def _clear(path: Path) -> None:
    if not _is_left(path):
        return
    with contextlib.suppress(OSError):
        held = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)
        finally:
            os.close(held)


def _plain(pattern: str) -> _Plain | None:
    names = segments_of(pattern.removesuffix(BELOW))
    if not names or any(WILD & set(name) or name == ".." for name in names):
        return None
    return _Plain(tuple(names), pattern.endswith(BELOW))


def _has_link(root: Path, one: _Plain) -> bool:
    return any((root / path).is_symlink() for path in (*one.above, one.path))


def _make_folder(path: Path) -> bool:
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


def _make_file(path: Path) -> bool:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        made = os.open(path, flags, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(made, "wb") as file:
        file.write(_content(path))
    return True


def _content(path: Path) -> bytes:
    return CONTENTS.get(path.name, b"")


def _remove(path: Path) -> None:
    status = path.lstat()
    if stat.S_ISDIR(status.st_mode):
        path.rmdir()
    elif stat.S_ISREG(status.st_mode) and status.st_size == len(_content(path)):
        path.unlink()


def _is_left(path: Path) -> bool:
    """Is it a placeholder, of another box or of one that was killed?"""
    try:
        status = path.lstat()
        is_file = stat.S_ISREG(status.st_mode)
        if stat.S_ISLNK(status.st_mode) or (is_file and status.st_size != len(_content(path))):
            return False
        return MARK in os.listxattr(path, follow_symlinks=False)
    except OSError:
        return False
