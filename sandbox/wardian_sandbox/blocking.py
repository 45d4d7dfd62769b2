"""What would keep git waiting for ever: pipes and devices where it opens files by their names.

Covers: the files that it reads of a work tree (attributes, ignored paths, submodules, authors), the
objects, and whatever it may look into as a repository inside, at any depth; links to such things.
Does not cover: what is put there after the look; a repository inside that says it is elsewhere
under names that repositories do not use. The time limit of `wardian_sandbox.git` is for those.
"""

import os
import stat
from pathlib import Path

NAMES = frozenset(
    (
        *(".git", ".gitattributes", ".gitignore", ".gitmodules", ".mailmap"),
        *("HEAD", "commondir", "config", "gitdir", "index", "packed-refs", "shallow"),
    )
)
"""Files that git reads of a work tree, and of a repository."""
BELOW = frozenset((".git", "modules", "objects", "refs", "worktrees"))
"""Folders in which git opens files of many names"""


def find_blocking(workspace: Path) -> str | None:
    """The path, relative to `workspace`, of a pipe or device that git might open."""
    folders = [("", False)]  # those still to look at, and whether git opens all that is in them
    while folders:
        inside, is_below = folders.pop()
        for entry in _entries(workspace / inside):
            name, path = entry.name, f"{inside}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                folders.append((f"{path}/", is_below or name in BELOW))
            elif (is_below or name in NAMES) and _keeps_waiting(entry):
                return path
    return None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []  # gone, or not to be read: not by git either


def _keeps_waiting(entry: os.DirEntry[str]) -> bool:
    if entry.is_file(follow_symlinks=False):
        return False
    try:
        mode = entry.stat().st_mode  # of what a link leads to
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
