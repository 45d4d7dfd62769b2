"""Landlock: processes of the box may write only below the places named, whatever else is mounted.

An inner layer, for where the kernel has it: the mounts are read-only already.
Covers: writing, creating, removing, renaming, truncating, device requests; no process under it may
look into one that is not (the supervisor), or reach abstract unix sockets outside the box.
Does not cover: reading; changing modes, owners and times; TCP, which is ruled by port and not by
address, so that a rule would only keep programs in the box from each other.
Source: linux/landlock.h, Documentation/userspace-api/landlock.rst of Linux 6.17.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""System call numbers, the same on every architecture."""
VERSION_FLAG = 1
RULE_PATH_BENEATH = 1

WRITE_FILE, TRUNCATE, IOCTL_DEV = 1 << 1, 1 << 14, 1 << 15
REFER = 1 << 13
FOLDER_RIGHTS = sum(1 << bit for bit in range(4, 13))
"""Removing and making directory entries of every kind."""
DEVICE_NODES = 1 << 6 | 1 << 11
"""Making character and block devices."""
SCOPE_ABSTRACT_SOCKETS = 1
SCOPES_SINCE = 6

WRITABLE = ["/tmp", "/dev/shm"]  # noqa: S108 - the box's own
DEVICES = ["/dev", "/proc"]
"""Where existing files may be written, and nothing made."""

_prepared: list[int] = []
"""The ruleset of this process's children; none before `prepare`, or where there is no Landlock."""


def version() -> int:
    """The kernel's Landlock ABI; 0 where it has none, or it is switched off."""
    return max(_call(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION_FLAG), 0)


def prepare(folders: list[str]) -> int:
    """Get ready to confine children to writing below these folders, and where any box may.

    Gives the ABI in force; 0 where nothing is.
    """
    abi = version()
    if abi == 0:
        return 0
    handled = _rights(abi)
    scoped = SCOPE_ABSTRACT_SOCKETS if abi >= SCOPES_SINCE else 0
    attributes = struct.pack("=QQQ", handled, 0, scoped)
    size = len(attributes) if abi >= SCOPES_SINCE else 8
    made = _call(CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    if made < 0:
        return 0
    in_files = handled & (WRITE_FILE | TRUNCATE | IOCTL_DEV)
    for place in [*WRITABLE, *folders]:
        _allow(made, place, handled & ~DEVICE_NODES)
    for place in DEVICES:
        _allow(made, place, in_files)
    _prepared.append(made)
    return abi


def confine() -> None:
    """Put this process and all it will start under what was prepared, for good.

    Raises: OSError.
    """
    for ruleset in _prepared:
        if _call(RESTRICT_SELF, ruleset, 0) != 0:
            raise OSError(ctypes.get_errno(), "Landlock refused")


def _rights(abi: int) -> int:
    """Every right to write that this ABI knows."""
    rights = WRITE_FILE | FOLDER_RIGHTS
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        rights |= right if abi >= since else 0
    return rights


def _allow(ruleset: int, place: str, rights: int) -> None:
    try:
        folder = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not in this box
    try:
        rule = struct.pack("=Qi", rights, folder)
        if _call(ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0) != 0:
            raise OSError(ctypes.get_errno(), f"Landlock takes no rule for {place}")
    finally:
        os.close(folder)


@functools.lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    return int(_libc().syscall(number, *arguments))
