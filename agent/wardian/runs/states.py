"""The states of a run's workspace: what it was before and after each step that could change it.

Beside the log stand `states/N.json`, which names only what differs from state N - 1, and
`files/<sha256>`, each content once. Where the file system can share blocks (btrfs, XFS) nothing is
copied; contents that an earlier run in the same workspace kept are hard-linked from there.
Covers: files, folders, links, permissions and times. What is restored is checked by its hash and
put in place by descriptor, so that nobody's link leads it elsewhere.
Does not cover: extended attributes, owners, files nobody may read, what still runs and writes
meanwhile; of a workspace of more than `KEPT_BYTES` its largest files, of one of more than
`KEPT_FILES` its deepest. A state is not synced: it survives the process, not for certain a power
cut.
"""

import errno
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any

from wardian.errors import StorageError
from wardian.runs.place import own_place
from wardian.runs.state import Kept, State, check_paths, is_there, is_untouched, remove_tree
from wardian_sandbox.carrying import CREATE, READ, Owner, Tree, fill, put, remove
from wardian_sandbox.checkpoints import without_placeholders
from wardian_sandbox.protecting import Mount
from wardian_sandbox.snapshot import Entry, Snapshot, take_snapshot

STATES_NAME = "states"
FILES_NAME = "files"
WORKSPACES_NAME = ".workspaces"
"""In the home of the runs: for each workspace the last run that kept a state of it."""
KEPT_BYTES = 256 << 20
KEPT_FILES = 5_000
"""What can be copied in about a second, before the first call in a folder never worked in."""
SMALL_BYTES = 1 << 20
TICK_NS = 20_000_000
"""Two changes within one tick of the kernel's clock have the same time."""


class States:
    """The states of one run, in its folder."""

    def __init__(self, folder: Path) -> None:
        """Raises: StorageError when what is there cannot be read."""
        self._folder = folder
        self._states = folder / STATES_NAME
        self._files = folder / FILES_NAME
        self.count = sum(1 for _ in self._states.glob("*.json")) if self._states.is_dir() else 0
        self.latest = self.state(self.count - 1) if self.count else State()

    def state(self, number: int) -> State:
        """Everything there was in that state. Raises: StorageError."""
        state = State()
        for index in range(number + 1):
            path = self._path(index)
            try:
                delta: dict[str, Any] = json.loads(path.read_bytes())
                for name in delta["gone"]:
                    state.pop(name, None)
                for name, (*entry, ref) in delta["put"].items():
                    state[name] = Kept(Entry(*map(int, entry)), str(ref))
                check_paths(state)
            except (
                OSError,
                ValueError,
                TypeError,
                KeyError,
                AttributeError,
                RecursionError,
            ) as error:
                raise StorageError(
                    f"The workspace's state {path} cannot be read: {error}.",
                    "The run itself can: `agent runs show`.",
                ) from error
        return state

    def save(
        self, workspace: Path, mounts: tuple[Mount, ...] = (), *, alike: "States | None" = None
    ) -> int:
        """The number of the workspace's present state, kept if it is not the latest one.

        Where `alike` has a file, by all that the file system tells of it, it is linked from there.
        Raises: StorageError, SandboxError when there is too much to look at.
        """
        began = time.time_ns()
        seen = without_placeholders(self._look(workspace), mounts)
        try:
            self._files.mkdir(mode=0o700, exist_ok=True)
            put_, now = self._differing(workspace, seen, began, alike)
            gone = [path for path in self.latest if path not in now]
            self.latest = now
            if self.count and not put_ and not gone:
                return self.count - 1
            self._write(put_, gone)
        except OSError as error:
            raise StorageError(
                f"The workspace's state cannot be kept in {self._states}: {error.strerror}.",
                "Free space or mend the permissions, or choose another place with WARDIAN_HOME.",
            ) from error
        self.count += 1
        return self.count - 1

    def unlike(self, state: Mapping[str, Kept], workspace: Path) -> list[str]:
        """Paths that are not in the workspace what they were in the state, by their content."""
        now = self._look(workspace)
        with Tree(workspace) as tree:
            differing = [
                path for path, kept in state.items() if not is_there(tree, path, kept, now)
            ]
        return sorted({*differing, *(path for path in now.entries if path not in state)})

    def put_back(self, wanted: Mapping[str, Kept | None], workspace: Path) -> list[str]:
        """Make these paths what they were, None for not there; gives those that are not kept.

        Raises: StorageError.
        """
        draft = self._folder / f".restoring-{os.urandom(8).hex()}"
        try:
            keep = {path: kept for path, kept in wanted.items() if kept and kept.is_whole}
            try:
                draft.mkdir(mode=0o700)
                lost = self.lay(keep, draft, is_part=True)
            except OSError as error:
                raise _not_put_back("What was changed", error) from error
            status = workspace.stat()
            owner = (status.st_uid, status.st_gid)
            with Tree(draft) as source, Tree(workspace) as target:
                for path in sorted(wanted, reverse=True):
                    kept, there = wanted[path], target.status(path)
                    in_the_way = there and kept and stat.S_IFMT(there.st_mode) != kept.entry.kind
                    if kept is None or (in_the_way and kept.is_whole):
                        remove(target, path)
                for path in sorted(keep.keys() - set(lost)):
                    if not _put(source, target, path, owner):
                        lost.append(path)
        finally:
            with suppress(OSError):
                remove_tree(draft)
        return sorted([*lost, *(p for p, kept in wanted.items() if kept and not kept.is_whole)])

    def lay(self, state: Mapping[str, Kept], folder: Path, *, is_part: bool = False) -> list[str]:
        """Make a private, empty folder what the state says; gives what could not be had."""
        check_paths(state)
        lost: list[str] = []
        for path in sorted(state):
            kept, target = state[path], folder / path
            if is_part:
                target.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISDIR(kept.entry.kind):
                target.mkdir(exist_ok=True)
            elif stat.S_ISLNK(kept.entry.kind):
                target.symlink_to(kept.ref)
            elif not self._lay_file(kept, target):
                lost.append(path)
        for path in sorted(state, reverse=True):  # a folder's permissions once it is filled
            if stat.S_ISDIR(state[path].entry.kind):
                (folder / path).chmod(state[path].entry.mode & 0o777)
        return lost

    def adopt(self, other: "States", state: State, folder: Path) -> None:
        """Begin with `folder`, which was laid from a state of `other`: contents are linked."""
        seen = take_snapshot(folder).entries
        self.latest = {p: Kept(seen[p], kept.ref) for p, kept in state.items() if p in seen}
        self._files.mkdir(mode=0o700, exist_ok=True)
        for kept in self.latest.values():
            if stat.S_ISREG(kept.entry.kind) and kept.ref:
                _link_or_copy(other._files / kept.ref, self._files / kept.ref)  # noqa: SLF001 - its own kind
        self._write(list(self.latest), [])
        self.count += 1

    def _look(self, workspace: Path) -> Snapshot:
        """The workspace without the runs themselves, which a home folder holds."""
        seen = take_snapshot(workspace)
        own = own_place(self._folder.parent, workspace)
        if not own:
            return seen
        entries = {path: e for path, e in seen.entries.items() if not f"{path}/".startswith(own)}
        return Snapshot(entries, seen.total_bytes)

    def _differing(
        self, workspace: Path, seen: Snapshot, began: int, alike: "States | None"
    ) -> tuple[list[str], State]:
        """Paths that differ from the latest state, and the present one."""
        left_out = _left_out(seen)
        now = State()
        differing: list[str] = []
        settled: list[str] = []
        """The same, but known better by now"""
        with Tree(workspace) as tree:
            for path, entry in seen.entries.items():
                before = self.latest.get(path)
                if before is not None and is_untouched(before.entry, entry):
                    now[path] = before
                    continue
                ref = "" if path in left_out else self._keep(tree, path, entry, alike)
                if ref is None:
                    continue  # gone meanwhile
                # It may yet change and look the same.
                is_fresh = entry.changed_ns > began - TICK_NS
                now[path] = Kept(entry._replace(changed_ns=0) if is_fresh else entry, ref)
                (settled if now[path].is_same(before) else differing).append(path)
        return differing + settled if differing else [], now

    def _keep(self, tree: Tree, path: str, entry: Entry, alike: "States | None") -> str | None:
        """What stands for the path's content, which is kept; None when it is gone."""
        if stat.S_ISDIR(entry.kind):
            return ""
        folder, name = tree.parent(path)
        try:
            if stat.S_ISLNK(entry.kind):
                return os.readlink(name, dir_fd=folder)
            known = alike.latest.get(path) if alike else None
            if alike and known and known.ref and known.entry == entry:
                with suppress(OSError):
                    _link(alike._files / known.ref, self._files / known.ref)  # noqa: SLF001 - its own kind
                    return known.ref
            reading = os.open(name, READ, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            return ""
        try:
            return self._copy(reading, entry.size)
        finally:
            os.close(reading)

    def _copy(self, reading: int, size: int) -> str:
        draft = self._files / f".{os.urandom(8).hex()}"
        if size <= SMALL_BYTES:
            with os.fdopen(reading, "rb", closefd=False) as stream:
                content = stream.read(SMALL_BYTES + 1)
            digest = hashlib.sha256(content).hexdigest()
            if (self._files / digest).exists():
                return digest
            with os.fdopen(os.open(draft, CREATE, 0o600), "wb") as stream:
                stream.write(content)
        else:
            writing = os.open(draft, CREATE, 0o600)
            try:
                fill(writing, reading, size)
            finally:
                os.close(writing)
            with draft.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        draft.replace(self._files / digest)
        return digest

    def _write(self, paths: list[str], gone: list[str]) -> None:
        self._states.mkdir(mode=0o700, exist_ok=True)
        delta = {
            "put": {path: [*self.latest[path].entry, self.latest[path].ref] for path in paths},
            "gone": gone,
        }
        draft = self._states / f".{self.count}"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, CREATE, 0o600), "w") as stream:
            json.dump(delta, stream, separators=(",", ":"))
        draft.replace(self._path(self.count))

    def _path(self, number: int) -> Path:
        return self._states / f"{number:06}.json"

    def _lay_file(self, kept: Kept, target: Path) -> bool:
        """Raises: OSError when it cannot be written."""
        if len(kept.ref) != 64 or not set(kept.ref) <= set("0123456789abcdef"):
            return False
        try:
            reading = os.open(self._files / kept.ref, READ)
        except OSError:
            return False
        try:
            with os.fdopen(reading, "rb", closefd=False) as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != kept.ref:
                    return False
            os.lseek(reading, 0, os.SEEK_SET)
            writing = os.open(target, CREATE, 0o600)
            try:
                fill(writing, reading, os.fstat(reading).st_size)
                os.fchmod(writing, kept.entry.mode & 0o777)
                os.utime(writing, ns=(kept.entry.modified_ns, kept.entry.modified_ns))
            finally:
                os.close(writing)
        finally:
            os.close(reading)
        return True


def last_states(runs: Path, workspace: Path) -> States | None:
    """Those of the last run that kept states of this workspace."""
    with suppress(OSError, StorageError):
        run_id = _pointer(runs, workspace).read_text()
        if run_id.isalnum():
            return States(runs / run_id)
    return None


def remember(runs: Path, workspace: Path, run_id: str) -> None:
    """Note for later runs that this one keeps states of the workspace."""
    pointer = _pointer(runs, workspace)
    with suppress(OSError):  # without it they copy once more
        pointer.parent.mkdir(mode=0o700, exist_ok=True)
        draft = pointer.with_name(f".{os.urandom(8).hex()}")
        with os.fdopen(os.open(draft, CREATE, 0o600), "w") as stream:
            stream.write(run_id)
        draft.replace(pointer)


def _put(source: Tree, target: Tree, path: str, owner: Owner) -> bool:
    """Raises: StorageError where there is no room."""
    try:
        return put(source, target, path, owner, keep_mode=False) is not None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return False
        raise _not_put_back(path, error) from error


def _not_put_back(what: str, error: OSError) -> StorageError:
    return StorageError(
        f"{what} cannot be put back: {error.strerror}.", "Free space and do it again."
    )


def _pointer(runs: Path, workspace: Path) -> Path:
    name = hashlib.sha256(os.fsencode(workspace)).hexdigest()
    return runs / WORKSPACES_NAME / name[:32]


def _left_out(seen: Snapshot) -> set[str]:
    """The files that must stay away for the rest to be within bounds: the deepest, where what is
    installed lies rather than what is worked on, then the largest."""
    if len(seen.entries) <= KEPT_FILES and seen.total_bytes <= KEPT_BYTES:
        return set()
    files = [path for path, entry in seen.entries.items() if stat.S_ISREG(entry.kind)]
    files.sort(key=lambda path: (path.count("/"), path))
    kept = sorted(files[:KEPT_FILES], key=lambda path: seen.entries[path].size)
    sizes = accumulate(seen.entries[path].size for path in kept)
    within = {path for path, total in zip(kept, sizes, strict=True) if total <= KEPT_BYTES}
    return set(files) - within


def _link(source: Path, target: Path) -> None:
    with suppress(FileExistsError):
        os.link(source, target)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        _link(source, target)
    except OSError:
        with suppress(FileNotFoundError):
            shutil.copyfile(source, target)
            target.chmod(0o600)
