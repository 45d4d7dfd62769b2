"""Finding a path in the workspace by descriptor, never by name twice.

Each folder on the way is opened relative to the one before it and without following links; links
are read and followed by hand, `..` goes back to a descriptor already held. So nothing that is
renamed or relinked meanwhile can lead outside the workspace.
"""

from __future__ import annotations

import os
import stat
from collections import deque

from wardian_sandbox.inner.globs import is_above, is_match

MAX_LINKS = 40
MAX_PATH = 4096
FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(Exception):
    """A file operation that cannot be done; becomes a `FileFailure`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Place:
    """Where a path leads: a name in an open folder, or the workspace itself (name `.`)."""

    def __init__(self, folder: int, name: str, relative: str, missing: list[str]) -> None:
        self.folder = folder
        self.name = name
        self.relative = relative
        """Resolved, without links, relative to the workspace; empty for the workspace."""
        self.missing = missing
        """Folders between `folder` and `name` that do not exist."""

    def status(self) -> os.stat_result | None:
        """What is there now; None if nothing is."""
        if self.missing:
            return None
        try:
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None


class Box:
    """The workspace, and what this call may do in it."""

    def __init__(self, root: int, names: list[str], within: dict[str, list[str]]) -> None:
        self.root = root
        self.names = names
        """Absolute paths that mean the workspace."""
        self.within = within

    def to_read(self, path: str) -> Place:
        """Raises: Refused when it leads outside, is hidden, or may not be read."""
        place = self._find(path)
        if not self.is_readable(place.relative):
            raise Refused("denied", f"the policy does not let {path!r} be read")
        return place

    def to_look(self, path: str) -> Place:
        """As `to_read`, but a folder may be looked into whatever its name: what is shown of it is
        then to be checked entry by entry.
        """
        place = self._find(path)
        status = place.status()
        is_folder = status is not None and stat.S_ISDIR(status.st_mode)
        return place if is_folder else self.to_read(path)

    def to_write(self, path: str) -> Place:
        """Raises: Refused when it leads outside, is hidden or protected, or may not be written."""
        place = self._find(path)
        if is_match(place.relative, self.within["protected"], ignore_case=True):
            raise Refused("protected", f"{path!r} is protected by the policy")
        if is_above(place.relative, self.within["protected"], ignore_case=True):
            raise Refused("protected", f"{path!r} would take the place of a protected folder")
        if not is_match(place.relative, self.within["writable"]):
            raise Refused("denied", f"the policy does not let {path!r} be written")
        return place

    def is_readable(self, relative: str) -> bool:
        return is_match(relative, self.within["readable"])

    def _refuse_hidden(self, path: str, trail: list[tuple[int, str]], name: str) -> None:
        if "/".join([*(step for _, step in trail), name]) in self.within["hidden"]:
            raise Refused("hidden", f"{path!r} is there, but the policy hides it from this run")

    def _find(self, path: str) -> Place:
        if "\0" in path or len(path) > MAX_PATH:
            raise Refused("invalid", "a path has at most 4096 characters and no NUL")
        names = deque(self._components(path))
        trail: list[tuple[int, str]] = []
        links = 0
        while names:
            name = names.popleft()
            folder = trail[-1][0] if trail else self.root
            if name in ("", "."):
                continue
            if name == "..":
                if not trail:
                    raise Refused("outside", f"{path!r} leads out of the workspace")
                os.close(trail.pop()[0])
                continue
            self._refuse_hidden(path, trail, name)
            found = _status(name, folder, path)
            if found is None:
                return self._missing(path, trail, [name, *names])
            if stat.S_ISLNK(found.st_mode):
                links += 1
                if links > MAX_LINKS:
                    raise Refused("invalid", f"{path!r} goes through too many links")
                target = os.readlink(name, dir_fd=folder)
                if target.startswith("/"):
                    target = "/".join(self._components(target))
                    _close(trail)
                names.extendleft(reversed(target.split("/")))
            elif names and any(name not in ("", ".") for name in names):
                trail.append((_open_folder(name, folder, path), name))
            else:
                return Place(folder, name, "/".join([*(step for _, step in trail), name]), [])
        if not trail:
            return Place(self.root, ".", "", [])
        # The path ended in `..` or `.`: name the folder it came back to by its parent.
        _, name = trail.pop()
        parent = trail[-1][0] if trail else self.root
        return Place(parent, name, "/".join([*(step for _, step in trail), name]), [])

    def _components(self, path: str) -> list[str]:
        if not path.startswith("/"):
            return path.split("/")
        for root in self.names:
            if path == root or path.startswith(root.rstrip("/") + "/"):
                return path[len(root) :].split("/")
        raise Refused("outside", f"{path!r} is outside the workspace {self.names[0]}")

    def _missing(self, path: str, trail: list[tuple[int, str]], rest: list[str]) -> Place:
        rest = [name for name in rest if name not in ("", ".")]
        if ".." in rest:
            raise Refused("missing", f"no file {path!r}")
        folder = trail[-1][0] if trail else self.root
        relative = "/".join([*(step for _, step in trail), *rest])
        return Place(folder, rest[-1], relative, rest[:-1])


def _status(name: str, folder: int, path: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise Refused("not_directory", f"a part of {path!r} is a file, not a folder") from None


def _open_folder(name: str, folder: int, path: str) -> int:
    try:
        return os.open(name, FOLDER, dir_fd=folder)
    except NotADirectoryError:
        raise Refused("not_directory", f"{name!r} in {path!r} is a file, not a folder") from None


def _close(trail: list[tuple[int, str]]) -> None:
    while trail:
        os.close(trail.pop()[0])
