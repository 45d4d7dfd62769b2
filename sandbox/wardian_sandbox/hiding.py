"""Which paths of a workspace nothing in the box may see.

Covers: what a glob names, in any case, with all that lies below it; what a link of such a name
leads to, where that is in the workspace too.
Does not cover: a hard link of another name; earlier states that a repository keeps; folders of
others' code, unless a glob names them (the certificates there are public, and programs need them).
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wardian_sandbox.inner.globs import GlobWalk
from wardian_sandbox.snapshot import Snapshot

OTHERS_CODE = frozenset({".git", "node_modules", ".venv", "venv", "__pycache__"})
"""Folders that `**` does not go into."""
MAX_COVERS = 256
"""Mounts in one box that only hide something."""


def can_cover(paths: Sequence[str]) -> bool:
    """Can all of these be hidden by mounts?"""
    return len(paths) <= MAX_COVERS and all(is_text(path) for path in paths)


def is_text(path: str) -> bool:
    """A name that is none can be given to no container engine."""
    return not any("\ud800" <= sign <= "\udfff" for sign in path)


class Hiding:
    """What of one folder is hidden, and what of that was shown again."""

    def __init__(self, root: Path, patterns: tuple[str, ...]) -> None:
        self._root = root.resolve()
        self._walks = {"": GlobWalk(list(patterns))}
        self._targets: set[str] = set()
        self._shown: set[str] = set()
        self._is_off = not patterns
        self.paths: tuple[str, ...] = ()
        """Files and whole folders that were hidden when somebody looked last."""

    def look(self) -> tuple[str, ...]:
        """Look at all of the folder; what is hidden in it."""
        if not self._is_off:
            named = list(self._named())
            self._follow(named)
            is_link = ((self._root / path).is_symlink() for path in named)
            self._keep({path for path, link in zip(named, is_link, strict=True) if not link})
        return self.paths

    def without(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot of the folder as it may be seen."""
        if self._is_off:
            return snapshot
        entries = snapshot.entries
        links = (path for path, entry in entries.items() if entry.kind == stat.S_IFLNK)
        self._follow(path for path in links if self._names(path))
        seen = {path: entry for path, entry in entries.items() if not self.hides(path)}
        self._keep({p for p in entries if p not in seen and entries[p].kind != stat.S_IFLNK})
        return Snapshot(seen, snapshot.total_bytes)

    def hides(self, path: str) -> bool:
        """Is it hidden, going by its name and by what was found?"""
        if self._is_off or self._is_among(path, self._shown):
            return False
        return self._names(path) or self._is_among(path, self._targets)

    def show(self, paths: Iterable[str]) -> None:
        """From now on these are not hidden, nor what lies below them."""
        for path in paths:
            self._shown.add(path)
            if target := self._target(path):
                self._shown.add(target)
        self.paths = tuple(path for path in self.paths if self.hides(path))

    def _named(self) -> Iterator[str]:
        """The outermost paths that a glob names."""
        waiting = [(self._root, "", self._walks[""])]
        while waiting:
            folder, inside, walk = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    found = list(entries)
            except OSError:
                continue  # gone, or not to be read: by the box neither
            for entry in found:
                path = inside + entry.name
                if self._is_among(path, self._shown):
                    continue
                if walk.has(entry.name):
                    yield path
                elif entry.is_dir(follow_symlinks=False):
                    further = walk.into(entry.name, entry.name not in OTHERS_CODE)
                    waiting.append((folder / entry.name, f"{path}/", further))

    def _names(self, path: str) -> bool:
        """Does a glob name it, or a folder above it?"""
        inside, _, name = path.rpartition("/")
        return self._walk(inside).has(name) or (inside != "" and self._names(inside))

    def _walk(self, inside: str) -> GlobWalk:
        if inside not in self._walks:
            above, _, name = inside.rpartition("/")
            self._walks[inside] = self._walk(above).into(name, name not in OTHERS_CODE)
        return self._walks[inside]

    def _keep(self, found: set[str]) -> None:
        hidden = {path for path in found | self._targets if not self._is_among(path, self._shown)}
        self.paths = tuple(sorted(path for path in hidden if not self._is_below(path, hidden)))

    def _follow(self, named: Iterable[str]) -> None:
        self._targets |= {target for path in named if (target := self._target(path))}

    def _target(self, path: str) -> str | None:
        """Where in the folder a link leads; None for all else."""
        whole = self._root / path
        if not whole.is_symlink():
            return None
        try:
            real = whole.resolve(strict=True)
        except (OSError, RuntimeError):
            return None  # it leads nowhere, or in a circle
        is_inside = real.is_relative_to(self._root) and real != self._root
        return real.relative_to(self._root).as_posix() if is_inside else None

    @staticmethod
    def _is_among(path: str, paths: set[str]) -> bool:
        return path in paths or Hiding._is_below(path, paths)

    @staticmethod
    def _is_below(path: str, paths: set[str]) -> bool:
        return any(path[:at] in paths for at, sign in enumerate(path) if sign == "/")
