"""One state of a workspace: what each path in it is, and whether a workspace still is so."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from wardian_sandbox.carrying import READ, Tree, put
from wardian_sandbox.snapshot import Entry, Snapshot, entry_of


class Kept(NamedTuple):
    """A path in a state."""

    entry: Entry
    ref: str
    """SHA-256 of a file's content, a link's target; empty for folders and what is not kept"""

    @property
    def is_whole(self) -> bool:
        """Can it be put back?"""
        return bool(self.ref) or stat.S_ISDIR(self.entry.kind)

    def is_same(self, other: "Kept | None") -> bool:
        """The same to whoever looks at content and mode."""
        if other is None or (self.entry.kind, self.entry.mode) != (
            other.entry.kind,
            other.entry.mode,
        ):
            return False
        if self.ref or other.ref or stat.S_ISDIR(self.entry.kind):
            return self.ref == other.ref
        return self.entry[:5] == other.entry[:5]


State = dict[str, Kept]


def present(workspace: Path, paths: Iterable[str]) -> dict[str, Kept | None]:
    """What these paths are now, None for not there; nothing is kept by it."""
    found: dict[str, Kept | None] = {}
    with Tree(workspace) as tree:
        for path in paths:
            try:
                status = tree.status(path)
            except OSError:  # a link stands where a folder on the way was
                status = None
            entry = entry_of(status) if status else None
            if entry is None:
                found[path] = None
            elif stat.S_ISDIR(entry.kind):
                found[path] = Kept(entry, "")
            else:
                found[path] = Kept(entry, content_ref(tree, path, entry))
    return found


def take_along(workspace: Path, place: Path, path: str, kept: Kept) -> bool:
    """Copy a file that was not kept from the workspace, if it is as it was by size and time.

    Raises: OSError.
    """
    with Tree(workspace) as source, Tree(place) as target:
        status = source.status(path)
        there = status and (status.st_size, status.st_mtime_ns)
        if there != (kept.entry.size, kept.entry.modified_ns):
            return False
        return put(source, target, path, (os.geteuid(), os.getegid()), keep_mode=False) is not None


def remove_tree(folder: Path) -> None:
    """Delete a folder, whatever permissions those in it have; a link is only unlinked.

    Raises: OSError.
    """
    if folder.is_symlink():
        folder.unlink()
        return
    with suppress(FileNotFoundError):
        for inside, _, _ in os.walk(folder):
            Path(inside).chmod(0o700)
        shutil.rmtree(folder)


def check_paths(state: Mapping[str, Kept]) -> None:
    """That each path stays below its folder and leads through no link: the file may be anybody's.

    Raises: ValueError.
    """
    for path in state:
        names = path.split("/")
        if not {"", ".", ".."}.isdisjoint(names) or "\0" in path:
            raise ValueError(f"{path!r} is not a path in a workspace")
        for end in range(1, len(names)):
            above = state.get("/".join(names[:end]))
            if above is not None and not stat.S_ISDIR(above.entry.kind):
                raise ValueError(f"{path!r} is below something that is no folder")


def is_untouched(before: Entry, now: Entry) -> bool:
    if stat.S_ISDIR(now.kind):
        return (before.kind, before.mode) == (now.kind, now.mode)
    return before == now


def is_there(tree: Tree, path: str, kept: Kept, now: Snapshot) -> bool:
    entry = now.entries.get(path)
    if entry is None or entry.kind != kept.entry.kind or entry.mode != kept.entry.mode:
        return False
    if stat.S_ISDIR(entry.kind):
        return True
    if stat.S_ISREG(entry.kind):
        if entry.size != kept.entry.size:
            return False
        if entry.modified_ns == kept.entry.modified_ns and entry.inode == kept.entry.inode:
            return (
                kept.entry.changed_ns in (0, entry.changed_ns)
                or not kept.ref
                or (content_ref(tree, path, entry) == kept.ref)
            )
    return content_ref(tree, path, entry) == kept.ref if kept.ref else False


def content_ref(tree: Tree, path: str, entry: Entry) -> str:
    """What stands for a path's content in a state; empty when it cannot be read."""
    try:
        folder, name = tree.parent(path)
        if stat.S_ISLNK(entry.kind):
            return os.readlink(name, dir_fd=folder)
        with os.fdopen(os.open(name, READ, dir_fd=folder), "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
