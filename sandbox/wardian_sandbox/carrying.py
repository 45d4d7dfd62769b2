"""Bringing changed files from one tree to another, when someone hostile can write to one of them.

Covers: every folder on the way is opened by descriptor without following links, on both sides, so
a planted link is carried as a link and never followed; files are written beside and renamed;
set-user-id and set-group-id bits are dropped; devices, pipes and sockets are not carried; holes in
files stay holes; where the file system can share blocks (FICLONE) nothing is copied.
Does not cover: hard links (they become separate files), extended attributes.
"""

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Self

from wardian_sandbox.errors import SandboxError
from wardian_sandbox.snapshot import FOLDER, Entry, Snapshot, entry_of

Owner = tuple[int, int]
"""user and group"""
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
PERMISSIONS = 0o777
FICLONE = 0x40049409
"""Source: linux/fs.h"""


class Tree:
    """A folder whose contents are reached by descriptor only."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, FOLDER)
        self._inside = ""
        self._folder = self._root

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        os.close(self._root)

    def parent(self, path: str, *, make_for: Owner | None = None) -> tuple[int, str]:
        """The open folder that `path` is in, valid until the next call, and its name there."""
        inside, _, name = path.rpartition("/")
        if inside != self._inside or self._folder == self._root:
            self._leave()
            for step in inside.split("/") if inside else []:
                self._step(step, make_for)
            self._inside = inside
        return self._folder, name

    def status(self, path: str) -> os.stat_result | None:
        """What is at `path` now; None if nothing is."""
        try:
            folder, name = self.parent(path)
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _step(self, name: str, make_for: Owner | None) -> None:
        before = self._folder
        if make_for is not None:
            try:
                os.mkdir(name, 0o755, dir_fd=before)
                os.chown(name, *make_for, dir_fd=before, follow_symlinks=False)
            except FileExistsError:
                pass
        self._folder = os.open(name, FOLDER, dir_fd=before)
        if before != self._root:
            os.close(before)

    def _leave(self) -> None:
        if self._folder != self._root:
            os.close(self._folder)
        self._folder, self._inside = self._root, ""


def differences(before: Snapshot, after: Snapshot) -> tuple[list[str], list[str]]:
    """Paths to put, parents first, and paths to remove, children first."""
    put = [
        path for path, entry in after.entries.items() if _differs(before.entries.get(path), entry)
    ]
    gone = [
        path
        for path, entry in before.entries.items()
        if path not in after.entries or after.entries[path].kind != entry.kind
    ]
    return sorted(put), sorted(gone, reverse=True)


def _differs(before: Entry | None, after: Entry) -> bool:
    if before is None:
        return True
    if after.kind == stat.S_IFDIR:
        return (before.kind, before.mode) != (after.kind, after.mode)
    return before != after


def remove(tree: Tree, path: str) -> None:
    """Take away a file, a link or an empty folder; a folder with something new in it stays."""
    status = tree.status(path)
    if status is None:
        return
    folder, name = tree.parent(path)
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=folder)
        return
    with contextlib.suppress(OSError):  # somebody else's files may be in it
        os.rmdir(name, dir_fd=folder)


def put(source: Tree, target: Tree, path: str, owner: Owner, *, keep_mode: bool) -> Entry | None:
    """Make `path` in `target` what it is in `source`; its new entry, None if it is gone by now.

    What exists keeps its owner, and its mode if `keep_mode`; what is new belongs to `owner`.
    Raises: OSError.
    """
    status = source.status(path)
    if status is None:
        return None
    there = target.status(path)
    if there is not None:
        owner = (there.st_uid, there.st_gid)
    kept = there is not None and keep_mode and stat.S_IFMT(there.st_mode) == stat.S_IFREG
    mode = (there.st_mode if kept and there is not None else status.st_mode) & PERMISSIONS
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        _put_folder(target, path, mode, owner)
    elif kind == stat.S_IFLNK:
        _put_link(source, target, path, owner)
    elif kind == stat.S_IFREG:
        _put_file(source, target, path, mode, owner)
    new = target.status(path)
    return None if new is None else entry_of(new)


def _put_folder(target: Tree, path: str, mode: int, owner: Owner) -> None:
    folder, name = target.parent(path, make_for=owner)
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
        os.chown(name, *owner, dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        pass
    fd = os.open(name, FOLDER, dir_fd=folder)
    try:
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def _put_link(source: Tree, target: Tree, path: str, owner: Owner) -> None:
    folder, name = source.parent(path)
    leads_to = os.readlink(name, dir_fd=folder)
    folder, name = target.parent(path, make_for=owner)
    temporary = _temporary_name()
    os.symlink(leads_to, temporary, dir_fd=folder)
    os.chown(temporary, *owner, dir_fd=folder, follow_symlinks=False)
    _rename(folder, temporary, name)


def _put_file(source: Tree, target: Tree, path: str, mode: int, owner: Owner) -> None:
    folder, name = source.parent(path)
    reading = os.open(name, READ, dir_fd=folder)
    try:
        status = os.fstat(reading)
        if not stat.S_ISREG(status.st_mode):
            return  # it changed since we looked; the next look will see it
        folder, name = target.parent(path, make_for=owner)
        temporary = _temporary_name()
        writing = os.open(temporary, CREATE, 0o600, dir_fd=folder)
        try:
            fill(writing, reading, status.st_size)
            os.fchown(writing, *owner)
            os.fchmod(writing, mode)
            os.utime(writing, ns=(status.st_atime_ns, status.st_mtime_ns))
        except BaseException:
            os.unlink(temporary, dir_fd=folder)
            raise
        finally:
            os.close(writing)
        _rename(folder, temporary, name)
    finally:
        os.close(reading)


def fill(writing: int, reading: int, size: int) -> None:
    """Make an empty file what another is up to `size`; what is appended meanwhile stays behind."""
    try:
        fcntl.ioctl(writing, FICLONE, reading)
        return
    except OSError:
        pass  # another file system, or one that cannot share
    os.ftruncate(writing, size)
    at = 0
    while at < size:
        try:
            at = os.lseek(reading, at, os.SEEK_DATA)
            end = min(os.lseek(reading, at, os.SEEK_HOLE), size)
        except OSError as problem:
            if problem.errno == errno.ENXIO:
                return  # nothing but a hole from here on
            end = size  # a file system that does not tell
        os.lseek(writing, at, os.SEEK_SET)
        while at < end:
            sent = os.sendfile(writing, reading, at, end - at)
            if sent == 0:
                return  # it became shorter meanwhile
            at += sent


def _rename(folder: int, temporary: str, name: str) -> None:
    try:
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(temporary, dir_fd=folder)
        raise


def _temporary_name() -> str:
    return f".wardian-{os.urandom(8).hex()}"


def failure(path: str, problem: OSError) -> SandboxError:
    return SandboxError(
        f"The change to {path} could not be brought to the workspace: {problem.strerror}.",
        "Make room there, or make it writable, and run again.",
    )
