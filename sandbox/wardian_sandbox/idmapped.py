"""A folder shown to the box's user as its own, though it is somebody else's: an idmapped mount.

Started by root, a box runs under a user id of its own, which cannot write root's files. So the
folder is mounted once more, its owner's ids mapped to the box's, in a mount namespace that nobody
but the box's launcher sees and that goes with it.
Covers: files of the folder's owner. Other owners' can be read as far as anybody may, not written.
Does not cover: kernels before 5.12, file systems that cannot be mapped, root without CAP_SYS_ADMIN;
there `mapped` raises OSError. Set-user-id bits would be the owner's: the call filter refuses them.
Source: mount_setattr(2), "ID-mapped mounts".
"""

import ctypes
import functools
import os
import select
import stat
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

PLACE = Path("/mnt")
"""Where the folder stands in the launcher's namespace: there on every system, and of nothing that
the launcher needs."""
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_IDMAP = 0x00100000
CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 0x40000

Started = TypeVar("Started", bound=subprocess.Popen[bytes])
_LIBC = ctypes.CDLL(None, use_errno=True)
_making = threading.Lock()
"""Held while a user namespace is made, since boxes are opened from several threads."""


def mapped(folder: Path, user: int) -> int:
    """A descriptor of the folder as a detached mount in which its owner is `user`.

    Raises: OSError where the kernel, the file system or our own rights do not allow it.
    """
    owner = folder.stat()
    with _making:
        namespace = _user_namespace(owner.st_uid, owner.st_gid, user)
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC | AT_RECURSIVE
    tree = _call(OPEN_TREE, AT_FDCWD, os.fsencode(folder), flags)
    try:
        wanted = struct.pack("QQQQ", MOUNT_ATTR_IDMAP, 0, 0, namespace)
        _call(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | AT_RECURSIVE, wanted, len(wanted))
    except BaseException:
        os.close(tree)
        raise
    return tree


def detached(path: Path, user: int) -> int:
    """A descriptor of a file or folder as a detached mount: mapped to `user` where that can be, so
    that what only its owner may read can be read; else as it is. For mounting read-only.

    Raises: OSError where our own rights do not allow it.
    """
    try:
        return mapped(path, user)
    except OSError:
        flags = OPEN_TREE_CLONE | os.O_CLOEXEC | AT_RECURSIVE
        return _call(OPEN_TREE, AT_FDCWD, os.fsencode(path), flags)


def launched_with(tree: int, launch: Callable[[], Started]) -> Started:
    """What `launch` started, which sees the mount `tree` at PLACE as nobody else does.

    Raises: OSError; what `launch` raises.
    """
    return _launched_seeing(lambda: _mount(tree, PLACE), launch)


def launched_with_all(trees: Sequence[int], launch: Callable[[], Started]) -> Started:
    """As `launched_with`, with several mounts: each at `place_of` its index.

    Raises: OSError; what `launch` raises.
    """

    def mount() -> None:
        _check(_LIBC.mount(b"tmpfs", os.fsencode(PLACE), b"tmpfs", 0, b"mode=0755"))
        for index, tree in enumerate(trees):
            if stat.S_ISDIR(os.fstat(tree).st_mode):
                place_of(index).mkdir()
            else:
                place_of(index).touch()
            _mount(tree, place_of(index))

    return _launched_seeing(mount, launch)


def place_of(index: int) -> Path:
    """Where `launched_with_all` mounts a tree."""
    return PLACE / str(index)


def _mount(tree: int, place: Path) -> None:
    _call(MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(place), MOVE_MOUNT_F_EMPTY_PATH)


def _launched_seeing(mount: Callable[[], None], launch: Callable[[], Started]) -> Started:
    started: Future[Started] = Future()

    def work() -> None:
        try:
            _check(_LIBC.unshare(CLONE_NEWNS))
            _check(_LIBC.mount(b"none", b"/", None, MS_REC_PRIVATE, None))
            mount()
            process = launch()
        except BaseException as problem:  # noqa: BLE001 - raised on where the result is asked for
            started.set_exception(problem)
            return
        ends = os.pidfd_open(process.pid)
        started.set_result(process)
        # "Die with the parent" means the thread that started it, so this one stays as long.
        waiting = select.poll()  # which takes any number of a descriptor
        waiting.register(ends, select.POLLIN)
        waiting.poll()
        os.close(ends)

    threading.Thread(target=work, name="wardian-box", daemon=True).start()
    return started.result()


@functools.cache
def _user_namespace(user: int, group: int, mapped_to: int) -> int:
    """A descriptor of a user namespace that says how ids are shown: nobody is in it, so that one
    serves every folder of an owner, as long as this process lives. Raises: OSError.
    """
    command = ["/usr/bin/unshare", "--user", "/bin/sh", "-c", "echo; read _"]
    with subprocess.Popen(
        command, env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        with holder.stdin:
            if not holder.stdout.readline():
                raise PermissionError("user namespaces cannot be made")
            place = Path(f"/proc/{holder.pid}")
            (place / "uid_map").write_text(f"{user} {mapped_to} 1")
            (place / "gid_map").write_text(f"{group} {mapped_to} 1")
            return os.open(place / "ns" / "user", os.O_RDONLY | os.O_CLOEXEC)


def _call(number: int, *arguments: object) -> int:
    return _check(_LIBC.syscall(number, *arguments))


def _check(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
