"""How much a box may add to its workspace, on a disk that it shares with everybody else.

A look costs one statvfs; only when the file system lost more room than the box may take are the
files looked at, to know whether it was the box. Counted are files changed since the box was opened,
by the inode's change time, which the guest cannot set, and deleted files that it holds open.
"""

import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from wardian_sandbox.types import ResourceLimits
from wardian_sandbox.usage import BLOCK_BYTES, tree

GREEDIEST = 0.9
"""No more than this share of what was free when the box was opened, whatever the limit."""
CLOCK_SECONDS = 1.0
"""How far the file system's coarse clock may be behind."""
PAUSE = 10
"""A look at the files is followed by a pause this many times as long."""


class Quota:
    """The room a box may take in one folder."""

    def __init__(self, folder: Path, limits: ResourceLimits) -> None:
        self._folder = folder
        self._opened = time.time() - CLOCK_SECONDS
        self._free_bytes, self._free_files = _free(folder)
        self._bytes = min(limits.workspace_bytes, int(GREEDIEST * self._free_bytes))
        self._files = min(limits.workspace_files, int(GREEDIEST * self._free_files))
        self._not_before = 0.0
        self.added = (0, 0)
        """Bytes and files of the box's, when they were last looked at."""

    def is_in_doubt(self) -> bool:
        """Has so much room gone, to whomever, that the files must be looked at?"""
        free_bytes, free_files = _free(self._folder)
        size, files = self._free_bytes - free_bytes, self._free_files - free_files
        over = size > self._bytes or (self._free_files > 0 and files > self._files)
        return over and time.monotonic() >= self._not_before

    def is_exceeded(self, root: int | None) -> bool:
        """Look at the files; those held open too, if `root` is the box's outermost process."""
        began = time.monotonic()
        size, files = self.added = self._count(root)
        now = time.monotonic()
        self._not_before = now + PAUSE * (now - began)
        return size > self._bytes or (self._free_files > 0 and files > self._files)

    def _count(self, root: int | None) -> tuple[int, int]:
        blocks: dict[tuple[int, int], int] = {}
        for status in _changed(self._folder, self._opened):
            blocks[status.st_dev, status.st_ino] = status.st_blocks
        if root is not None:
            with suppress(OSError):
                for status in _deleted(root, self._folder.stat().st_dev):
                    blocks[status.st_dev, status.st_ino] = status.st_blocks
        return sum(blocks.values()) * BLOCK_BYTES, len(blocks)


def _free(folder: Path) -> tuple[int, int]:
    """Bytes and inodes; no inodes where the file system does not count them."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return 0, 0
    return state.f_bavail * state.f_frsize, state.f_favail


def _changed(folder: Path, since: float) -> list[os.stat_result]:
    """What lies below `folder` and was made or changed since then; links are not followed."""
    found: list[os.stat_result] = []
    todo = [str(folder)]
    while todo:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        todo.append(entry.path)
                    if status.st_ctime >= since:
                        found.append(status)
    return found


def _deleted(root: int, device: int) -> list[os.stat_result]:
    """Files of that device without a name that processes of the box hold open."""
    found: list[os.stat_result] = []
    for pid in tree(root):
        with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with suppress(OSError):
                    status = entry.stat()
                    if status.st_dev == device and status.st_nlink == 0:
                        found.append(status)
    return found
