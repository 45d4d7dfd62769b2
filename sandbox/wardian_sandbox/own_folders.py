"""Folders of our own for a box: locked while this process lives, taken away once it is dead."""

import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path

from wardian_sandbox.carrying import Owner
from wardian_sandbox.errors import SandboxError

PREFIX = "wardian-box-"
NEW_PREFIX = "wardian-new-"
"""Of a folder that is not locked yet, by another name so that nobody takes it for a dead one's."""
LOCK = "lock"
UNLOCKED_SECONDS = 60.0
"""A folder this old without a lock was left by a process that died while making it."""


def make_base(owner: Owner) -> tuple[Path, int]:
    """A new private folder that `owner` can reach, and its lock."""
    for place in dict.fromkeys((tempfile.gettempdir(), "/var/tmp", "/tmp")):  # noqa: S108
        folder = Path(place)
        if folder.is_dir() and (owner[0] == os.geteuid() or _can_anybody_enter(folder)):
            reap_dead(folder, owner[0])
            base, lock = locked_folder(folder)
            os.chown(base, *owner)
            return base, lock
    raise SandboxError(
        "There is no temporary folder that the sandbox's user can reach.",
        "Set TMPDIR to one that everybody may enter.",
    )


def _can_anybody_enter(folder: Path) -> bool:
    resolved = folder.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (resolved, *resolved.parents))


def locked_folder(place: Path) -> tuple[Path, int]:
    """A new private folder in `place`, and its lock: held while this process lives, it tells
    `reap_dead` that the folder is in use. Raises: OSError.
    """
    new = Path(tempfile.mkdtemp(prefix=NEW_PREFIX, dir=place))
    lock = _lock(new)
    base = place / (PREFIX + new.name.removeprefix(NEW_PREFIX))
    new.rename(base)
    return base, lock


def _lock(base: Path) -> int:
    lock = os.open(base / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def reap_dead(folder: Path, owner: int) -> None:
    """Delete the copies that processes which died left in `folder`."""
    for base in (*folder.glob(f"{PREFIX}*"), *folder.glob(f"{NEW_PREFIX}*")):
        try:
            status = base.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == owner and _is_dead(base, status):
                delete(base)
        except OSError:
            continue  # somebody else's, or gone meanwhile


def _is_dead(base: Path, status: os.stat_result) -> bool:
    is_old = time.time() - status.st_mtime > UNLOCKED_SECONDS
    if base.name.startswith(NEW_PREFIX) and not is_old:
        return False
    try:
        lock = os.open(base / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return is_old
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def delete(base: Path) -> None:
    """Remove a copy, however deep and unreadable the box left it."""
    try:
        shutil.rmtree(base)
    except (OSError, RecursionError):
        for command in (("chmod", "-R", "u+rwX"), ("rm", "-rf")):
            subprocess.run([*command, "--", str(base)], check=False, capture_output=True)
