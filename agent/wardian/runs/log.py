"""The log of one run: append-only, one line an event, synced where it counts.

Covers: process death at any moment (what `append(durable=True)` acknowledged is there), short
writes and full disks (undone, earlier lines safe), two processes on one run (refused).
Does not cover: network file systems, whose locks and syncs promise less.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from wardian.errors import RunInUse, StorageError
from wardian.events import Recorded
from wardian.runs.encode import BLOB_CHARS, SCHEMA, dumps, encode, line

LOG_NAME = "trajectory.jsonl"
TORN_NAME = "torn"
BLOBS_NAME = "blobs"
REMOVING = ".removing-"
"""A run is called so while it is being deleted."""
PSEUDONYMS_NAME = "pseudonyms.json"
"""Beside a run whose log does not hold what its reader sees"""
OWNER_NAME = "owner"
"""Says for people which process holds the run; the lock on the log is what holds it."""

OWNER = re.compile(r"process \d+ on [\w.-]+")

LOOK_SECONDS = 0.05
"""Who lists runs holds each of them for an instant, to see whether another process does."""
SYNC_THREADS = 16
# A sync waits for the disk, not for the processor, and syncs of several files share one journal
# commit; more threads than cores is the point.


@cache
def _sync_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=SYNC_THREADS, thread_name_prefix="wardian-sync")


class RunLog:
    """Writes one run's events. One owner; `append` calls must not overlap."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self.path = folder / LOG_NAME
        self._descriptor = descriptor
        self._seq = 0
        self._size = 0
        self._waiting: list[tuple[str, bytes]] = []
        self._flush: asyncio.Handle | None = None
        self._failure: StorageError | None = None
        self._began = time.monotonic()

    @classmethod
    def create(cls, folder: Path) -> "RunLog":
        """Start the log of a new run: folder 0700, file 0600, header synced.

        Raises: StorageError.
        """
        try:
            _make_private(folder.parent)
            folder.mkdir(mode=0o700)
            flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC
            descriptor = os.open(folder / LOG_NAME, flags, 0o600)
        except OSError as error:
            raise _storage_error(folder, error) from error
        log = cls(folder, descriptor)
        try:
            log._lock()
            log._waiting.append(("header", dumps({"schema": SCHEMA})))
            log._write()
            log._sync()
            _sync_folder(folder)
            _sync_folder(folder.parent)
        except BaseException as error:
            log.discard()
            if isinstance(error, OSError):
                raise _storage_error(folder, error) from error
            raise
        return log

    @classmethod
    def reopen(cls, folder: Path, *, lines: int | None = None) -> "RunLog":
        """Go on with a stored run. A torn last line is set aside in the file `torn` first.

        `lines` is what its caller has read of it.
        Raises: StorageError, also when another process holds the run, or went on with it since.
        """
        try:
            descriptor = open_log(folder / LOG_NAME, os.O_APPEND | os.O_RDWR)
        except OSError as error:
            raise _storage_error(folder, error) from error
        log = cls(folder, descriptor)
        log._lock()
        content = log.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if lines is not None and content.count(b"\n") != lines:
            log._release()
            raise StorageError(f"Run {folder.name} went on meanwhile.", "Do the same again.")
        try:
            if whole < len(content):
                with open(folder / TORN_NAME, "ab", opener=_private) as torn:
                    torn.write(content[whole:] + b"\n")
                os.ftruncate(descriptor, whole)
        except OSError as error:
            log._release()
            raise _storage_error(folder, error) from error
        log._size, log._seq = whole, content[:whole].count(b"\n")
        if not whole:
            log._waiting.append(("header", dumps({"schema": SCHEMA})))
        return log

    async def append(self, events: Sequence[Recorded], *, durable: bool = True) -> None:
        """Write the events; with `durable`, return only once they are on disk.

        Events that need not be durable are written together with those that follow, at the
        latest before the event loop does anything else.
        Raises: StorageError; nothing of this write is then in the log.
        """
        self._waiting += ((e.kind, encode(e, self._save_blob)) for e in events)
        if durable:
            self._write()
            await asyncio.get_running_loop().run_in_executor(_sync_pool(), self._sync)
        elif self._flush is None:
            self._flush = asyncio.get_running_loop().call_soon(self._write_later)

    def note(self, event: Recorded) -> None:
        """Append an event after the run's end. Raises: StorageError."""
        self._waiting.append((event.kind, encode(event, self._save_blob)))
        self._write()
        self._sync()

    def copy(self, events: Iterable[tuple[datetime | None, Recorded]]) -> None:
        """Write what happened elsewhere, with the times it had there; None is the time before it,
        or now. Raises: StorageError; ValueError for what cannot be stored."""
        moment: datetime | None = None
        first: datetime | None = None
        lines: list[bytes] = []
        for given, event in events:
            moment = given or moment or datetime.now(UTC)
            first = first or moment
            mono = max(0.0, (moment - first).total_seconds())
            data = encode(event, self._save_blob)
            lines.append(line(self._seq + len(lines), _wall(moment), mono, event.kind, data))
        self._write()
        self._put(b"".join(lines), len(lines))
        self._sync()

    def close(self) -> None:
        """Write what waits and release the run. May be called twice.

        Raises: StorageError.
        """
        if self._descriptor >= 0:
            try:
                self._write()
            finally:
                self._release()

    def discard(self) -> None:
        """Release the run and leave nothing of it: it never began."""
        self._waiting.clear()
        self._failure = None
        self._release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _release(self) -> None:
        if self._descriptor >= 0:
            (self.folder / OWNER_NAME).unlink(missing_ok=True)
            # Closing would not do: a process that is just being started has a copy until its exec.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1

    def _lock(self) -> None:
        try:
            take(self._descriptor, self.folder)
        except RunInUse:
            os.close(self._descriptor)
            self._descriptor = -1
            raise
        text = f"process {os.getpid()} on {socket.gethostname()}"
        with suppress(OSError), open(self.folder / OWNER_NAME, "w", opener=_private) as stream:
            stream.write(text)

    def _write_later(self) -> None:
        try:
            self._write()
        except StorageError as error:
            self._failure = error  # raised where the next event is appended

    def _write(self) -> None:
        """All that waits in one write, or none of it."""
        if self._flush:
            self._flush.cancel()
            self._flush = None
        if self._failure:
            raise self._failure
        if not self._waiting:
            return
        wall = _wall(datetime.now(UTC))
        mono = time.monotonic() - self._began
        content = b"".join(
            line(seq, wall, mono, kind, data)
            for seq, (kind, data) in enumerate(self._waiting, start=self._seq)
        )
        count, self._waiting = len(self._waiting), []
        self._put(content, count)

    def _put(self, content: bytes, count: int) -> None:
        try:
            written = os.write(self._descriptor, content)
            while written < len(content):
                # A short write means that the disk is about to say no; ask it.
                written += os.write(self._descriptor, content[written:])
        except OSError as error:
            failure = _storage_error(self.path, error)
            try:
                os.ftruncate(self._descriptor, self._size)
            except OSError:
                self._failure = failure  # what stands there now is torn; nothing may follow it
            raise failure from error
        self._size += len(content)
        self._seq += count

    def _sync(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            # The kernel may have dropped what it could not write; a later sync would not say so.
            self._failure = _storage_error(self.path, error)
            raise self._failure from error

    def _save_blob(self, text: str) -> dict[str, Any]:
        assert len(text) > BLOB_CHARS
        content = text.encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(content).hexdigest()
        target = self.folder / BLOBS_NAME / digest
        if not target.exists():
            try:
                _write_whole(target, content)
            except OSError as error:
                raise _storage_error(target, error) from error
        return {"$blob": digest, "bytes": len(content)}


def open_log(path: Path, flags: int = os.O_RDONLY) -> int:
    """Its descriptor. Raises: OSError, also where something else has its name: a pipe would be
    waited for, and a device read for ever.
    """
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "It is not a regular file", str(path))
    return descriptor


def take(descriptor: int, folder: Path) -> None:
    """Lock the run's log for this process alone. Raises: RunInUse."""
    until = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() < until:
                time.sleep(LOOK_SECONDS / 20)
                continue
            raise RunInUse(
                f"Run {folder.name} is in use by {_owner(folder)}.",
                "Wait until it ends, or stop it.",
            ) from error
        return


def _wall(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _make_private(folder: Path) -> None:
    """The folder and those above it, where they are missing: 0700 whatever the umask."""
    if not folder.is_dir():
        if folder.is_symlink() or folder.exists():
            raise OSError(errno.ENOTDIR, f"{folder} is no folder")
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _owner(folder: Path) -> str:
    try:
        text = (folder / OWNER_NAME).read_text(errors="replace")[:100]
    except OSError:
        text = ""
    return text if OWNER.fullmatch(text) else "another process"


def _write_whole(target: Path, content: bytes) -> None:
    """The file is there whole and synced, or not at all."""
    target.parent.mkdir(mode=0o700, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(target)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _storage_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be written: {error.strerror or error}.",
        "Free space or mend the permissions, or choose another place with WARDIAN_HOME.",
    )
