"""Where this process may make control groups.

Covers: version 2 where the own group or one above it is this user's (root's, or delegated as
systemd does below `user@….service`) and has the controllers switched on; version 1 where the
controllers' own groups are writable.
Does not cover: moving this process to make room for a group, as version 2 would want where the
only group there is holds processes itself.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("memory", "pids")
WANTED = (*NEEDED, "cpu", "cpuacct")


@dataclass(frozen=True, slots=True)
class Place:
    """Where this process may make groups."""

    version: int
    folders: dict[str, Path]
    """Controller → the group that ours become children of; the same for all in version 2."""

    @property
    def name(self) -> str:
        return f"cgroup v{self.version}"


def find_place(proc: Path = Path("/proc/self")) -> Place | None:
    """None where this process may make no group that limits memory and processes."""
    mounts = _mounts(_text(proc / "mountinfo"))
    own = dict(_own_groups(_text(proc / "cgroup")))
    unified = _folder(mounts, own, "")
    if unified is not None and (parent := _usable_parent(*unified)) is not None:
        return Place(2, dict.fromkeys(WANTED, parent))
    folders = _folders_v1(mounts, own)
    writable = {name: folder for name, folder in folders.items() if os.access(folder, os.W_OK)}
    return Place(1, writable) if all(name in writable for name in NEEDED) else None


def groups_of(proc: Path) -> Place | None:
    """The groups that a process is in, given its folder in /proc; None where they are not seen."""
    mounts = _mounts(_text(Path("/proc/self/mountinfo")))
    own = dict(_own_groups(_text(proc / "cgroup")))
    unified = _folder(mounts, own, "")
    if unified is not None and (unified[0] / "memory.events").exists():
        return Place(2, dict.fromkeys(WANTED, unified[0]))
    folders = _folders_v1(mounts, own)
    return Place(1, folders) if all(name in folders for name in NEEDED) else None


def _folders_v1(mounts: dict[str, tuple[Path, str]], own: dict[str, str]) -> dict[str, Path]:
    found = {name: _folder(mounts, own, name) for name in WANTED}
    return {name: at[0] for name, at in found.items() if at is not None}


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _mounts(mountinfo: str) -> dict[str, tuple[Path, str]]:
    """Controller ("" for version 2) → mount point, and which group is mounted there."""
    found: dict[str, tuple[Path, str]] = {}
    for line in mountinfo.splitlines():
        mount, _, system = line.partition(" - ")
        if not system.startswith("cgroup"):
            continue
        root, point = (_unescaped(word) for word in mount.split()[3:5])
        kind, _, options = system.split(maxsplit=2)
        names = [""] if kind == "cgroup2" else options.split(",")
        found.update({name: (Path(point), root) for name in names})
    return found


def _unescaped(word: str) -> str:
    """Source: proc_pid_mountinfo(5); space, tab, newline and backslash are written in octal."""
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), word)


def _own_groups(cgroup: str) -> Iterator[tuple[str, str]]:
    for line in cgroup.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            yield name, path


def _folder(
    mounts: dict[str, tuple[Path, str]], own: dict[str, str], name: str
) -> tuple[Path, Path] | None:
    """(this process's own group, the top one that is mounted), where they can be seen."""
    if name not in mounts or name not in own:
        return None
    point, root = mounts[name]
    relative = os.path.relpath(own[name], root)
    if relative.startswith(".."):
        return None
    folder = point / relative
    return (folder, point) if folder.is_dir() else None


def _usable_parent(own: Path, top: Path) -> Path | None:
    """The nearest group, from the own one up, in which groups with limits can be made."""
    for folder in (own, *own.parents):
        ours = all(os.access(file, os.W_OK) for file in (folder, folder / "cgroup.procs"))
        if ours and (_has_switched_on(folder) or _switch_on(folder)):
            return folder
        if folder == top:
            return None
    return None


def _has_switched_on(folder: Path) -> bool:
    return set(NEEDED) <= words_of(folder / "cgroup.subtree_control")


def _switch_on(folder: Path) -> bool:
    """Only where the kernel lets us: in a group that holds no processes itself."""
    if not set(NEEDED) <= words_of(folder / "cgroup.controllers"):
        return False
    if words_of(folder / "cgroup.procs"):
        return False
    with suppress(OSError):
        (folder / "cgroup.subtree_control").write_text("+memory +pids")
        with suppress(OSError):
            (folder / "cgroup.subtree_control").write_text("+cpu")
    return _has_switched_on(folder)


def words_of(file: Path) -> set[str]:
    """What is written in it; nothing if it cannot be read."""
    return set(_text(file).split())
