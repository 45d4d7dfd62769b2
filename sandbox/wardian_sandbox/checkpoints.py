"""Saved states of a workspace: to go back to, or to go on from in another folder.

Each state is a tree of its own in a private folder. A file that did not change since the state
before is the same file, hard-linked; one that did is shared by blocks where the file system can
(btrfs, XFS), else copied. Nothing is hard-linked with the workspace, where files change in place.
Covers: links are saved and restored as links; no set-user-id bit, device or pipe is.
Does not cover: what still runs and writes meanwhile (reset the box first), extended attributes.
"""

import os
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from wardian_sandbox.carrying import Owner, Tree, differences, failure, put, remove
from wardian_sandbox.protecting import Mount
from wardian_sandbox.snapshot import Entry, Snapshot, changes_between, take_snapshot
from wardian_sandbox.types import FileChange


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """One saved state."""

    tree: Path
    """Not to be changed: other states share its files."""
    seen: Snapshot = field(repr=False)
    """The workspace as it was, and where it was restored since, as it then became."""


class Checkpoints:
    """The saved states of one workspace, in a folder that only this user can enter."""

    def __init__(self, folder: Path) -> None:
        """Raises: OSError when it cannot be made."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._latest: Checkpoint | None = None

    def save(self, workspace: Path, mounts: tuple[Mount, ...] = ()) -> Checkpoint:
        """The present state. Raises: SandboxError."""
        seen = without_placeholders(take_snapshot(workspace), mounts)
        tree = Path(tempfile.mkdtemp(prefix="state-", dir=self._folder))
        latest = self._latest
        paths, _ = differences(Snapshot(), seen)
        mine = (os.geteuid(), os.getegid())
        with Tree(workspace) as source, Tree(tree) as target:
            for path in paths:
                entry = seen.entries[path]
                is_same = latest is not None and latest.seen.entries.get(path) == entry
                if entry.kind == stat.S_IFREG and is_same and latest is not None:
                    os.link(latest.tree / path, tree / path)
                else:
                    _carry(source, target, path, mine)
        self._latest = Checkpoint(tree, seen)
        return self._latest

    def restore(
        self, checkpoint: Checkpoint, workspace: Path, mounts: tuple[Mount, ...] = ()
    ) -> tuple[FileChange, ...]:
        """Make the workspace what it was; gives what that changed. Raises: SandboxError.

        What is mounted to protect it is left as it is: it has not changed.
        """
        now = without_placeholders(take_snapshot(workspace), mounts)
        paths, gone = differences(now, checkpoint.seen)
        status = workspace.stat()
        owner = (status.st_uid, status.st_gid)
        with Tree(checkpoint.tree) as source, Tree(workspace) as target:
            for path in gone:
                if not _is_mounted(path, mounts):
                    _take_away(target, path)
            for path in paths:
                if not _is_mounted(path, mounts):
                    entry = _carry(source, target, path, owner)
                    if entry is not None:
                        checkpoint.seen.entries[path] = entry
        if not paths and not gone:
            return ()
        return changes_between(now, without_placeholders(take_snapshot(workspace), mounts))

    def fork(self, checkpoint: Checkpoint, folder: Path) -> None:
        """A new folder in that state, whose files share nothing that a change would show in.

        Raises: FileExistsError, SandboxError.
        """
        folder.mkdir(mode=0o700)
        paths, _ = differences(Snapshot(), checkpoint.seen)
        with Tree(checkpoint.tree) as source, Tree(folder) as target:
            for path in paths:
                _carry(source, target, path, (os.geteuid(), os.getegid()))


def _carry(source: Tree, target: Tree, path: str, owner: Owner) -> Entry | None:
    try:
        return put(source, target, path, owner, keep_mode=False)
    except FileNotFoundError:
        return None  # gone meanwhile
    except OSError as problem:
        raise failure(path, problem) from problem


def _take_away(target: Tree, path: str) -> None:
    try:
        remove(target, path)
    except OSError as problem:
        raise failure(path, problem) from problem


def _is_mounted(path: str, mounts: tuple[Mount, ...]) -> bool:
    return any(
        path == mount.path or (mount.read_only and path.startswith(f"{mount.path}/"))
        for mount in mounts
    )


def without_placeholders(snapshot: Snapshot, mounts: tuple[Mount, ...]) -> Snapshot:
    """Without what is there only to be mounted over, unless something is in it."""
    entries = dict(snapshot.entries)
    for mount in sorted(mounts, key=lambda mount: mount.path, reverse=True):
        holds = any(path.startswith(f"{mount.path}/") for path in entries)
        if mount.is_placeholder and not holds:
            entries.pop(mount.path, None)
    return Snapshot(entries, snapshot.total_bytes)
