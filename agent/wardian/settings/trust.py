"""Which folders the user trusts, and exactly which of their files.

Files of the folder being worked on can lead an agent: project settings, a list of MCP servers,
skills, AGENTS.md. They are believed only where the user has said so, and only as they were then:
what is remembered is the folder's path and the hash of every such file, so a file that was added
or changed since is not believed.

Covers: the files named by `LEADING`, read once, without following links, hashed as read.
Does not cover: files that the model reads by itself, which are data; programs that the user starts
in the folder with other tools.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TypeGuard, cast

from wardian.errors import ConfigurationError
from wardian.settings.places import make_folder, paths
from wardian.settings.replacing import replace_file

OWN_FOLDER = ".wardian"
LEADING = ("AGENTS.md", ".mcp.json", OWN_FOLDER, ".agents/skills")
"""Files, and folders with all that is in them."""
MAX_FILES = 500
MAX_FILE_BYTES = 1 << 20
WHAT = {
    "AGENTS.md": "instructions for the model",
    ".mcp.json": "MCP servers to start",
    f"{OWN_FOLDER}/config.toml": "settings, which can only narrow yours",
    f"{OWN_FOLDER}/policy.toml": "a policy, which can only narrow yours",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A folder that is worked on, and what of it may be believed."""

    root: Path
    approved: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path below the root → SHA-256 of the content that the user has trusted."""
    is_trusted: bool = False
    own: Path | None = None
    """The user's configuration folder: nothing in it is the workspace's."""

    def read(self, name: str) -> str | None:
        """The text of a leading file, where it is trusted as it now is; else None."""
        content = self.read_bytes(name)
        return None if content is None else content.decode("utf-8", "replace")

    def read_bytes(self, name: str) -> bytes | None:
        """The same as bytes. The content given is the content that was checked."""
        if name not in self.approved:
            return None
        content = read_beneath(self.root, name)
        return content if content is not None and digest(content) == self.approved[name] else None

    def files(self, below: str) -> list[str]:
        """The leading files under a folder such as `.wardian/skills` that may be read."""
        return [name for name in sorted(self.approved) if name.startswith(below.rstrip("/") + "/")]

    def unbelieved(self) -> list[str]:
        """Leading files that are there and not believed: new, changed, or never trusted."""
        found = leading_names(self.root, self.own)
        # An empty one leads nobody; a box in the same folder has such where it protects a name. One
        # that was trusted with content and is empty now no longer narrows what it narrowed.
        leading = (n for n in found if n in self.approved or not is_empty(self.root / n))
        names = list(islice(leading, MAX_FILES))
        if not self.is_trusted:
            return names
        return [name for name in names if self.read_bytes(name) is None]

    def notice(self) -> str:
        """One sentence on what is not believed, or nothing."""
        names = self.unbelieved()
        if not names:
            return ""
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        is_one = len(names) == 1
        if self.is_trusted:
            why = f"{'it is' if is_one else 'they are'} new or changed since you trusted the folder"
        else:
            why = "you have not trusted the folder"
        return (
            f"{shown} in {self.root} {'is' if is_one else 'are'} not read: {why} (`agent trust`)."
        )


def workspace_of(folder: Path, environ: Mapping[str, str]) -> Workspace:
    """The folder with what the user has trusted of it. Raises: ConfigurationError."""
    root = folder.expanduser().resolve()
    known = load_trusted(environ).get(str(root))
    return Workspace(
        root=root,
        approved=known or {},
        is_trusted=known is not None,
        own=paths(environ).config_file.parent.resolve(),
    )


def leading_names(root: Path, own: Path | None = None) -> Iterator[str]:
    """The files of a folder that can lead an agent, but for the user's own below `own`."""
    for name in LEADING:
        for path in walk(root / name):
            if own is None or not path.is_relative_to(own):
                yield path.relative_to(root).as_posix()


def leading_files(workspace: Workspace) -> dict[str, bytes]:
    """The same with their content, for the user to look at. Raises: ConfigurationError."""
    names = list(islice(leading_names(workspace.root, workspace.own), MAX_FILES + 1))
    if len(names) > MAX_FILES:
        raise ConfigurationError(
            f"{workspace.root} has over {MAX_FILES} files that could lead an agent.",
            f"Have fewer of them below {', '.join(LEADING)}.",
        )
    contents = {name: read_beneath(workspace.root, name) for name in names}
    return {name: content for name, content in contents.items() if content is not None}


def walk(path: Path) -> Iterator[Path]:
    """Files at or below `path`, sorted; links are passed over."""
    if path.is_symlink():
        return
    if path.is_file():
        yield path
    elif path.is_dir():
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (Path(folder, name) for name in sorted(names))


def is_empty(path: Path) -> bool:
    try:
        return path.lstat().st_size == 0
    except OSError:
        return False


def read_beneath(root: Path, name: str) -> bytes | None:
    """The content of a regular file, no part of whose path below `root` is a link; else None."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/"):
        return None
    held: list[int] = []
    try:
        held.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for index, part in enumerate(parts):
            kind = os.O_DIRECTORY if index < len(parts) - 1 else os.O_NONBLOCK
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind
            held.append(os.open(part, flags, dir_fd=held[-1]))
        if not stat.S_ISREG(os.fstat(held[-1]).st_mode):
            return None
        with os.fdopen(os.dup(held[-1]), "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError:
        return None
    finally:
        for fd in held:
            os.close(fd)
    return content if len(content) <= MAX_FILE_BYTES else None


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def load_trusted(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Folder → file → hash, of all that was ever trusted. Raises: ConfigurationError."""
    file = paths(environ).trusted
    try:
        if not file.exists():
            return {}
        loaded: object = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        cause = f"{file} cannot be read ({error})."
        raise ConfigurationError(cause, "Remove it, then trust your folders again.") from error
    folders: object = loaded.get("folders") if is_object(loaded) else None
    if not is_object(folders) or not all(map(is_object, folders.values())):
        raise ConfigurationError(
            f"{file} does not list folders.", "Remove it, then trust your folders again."
        )
    return cast("dict[str, dict[str, str]]", folders)


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def trust(folder: Path, files: Mapping[str, bytes], environ: Mapping[str, str]) -> None:
    """Remember the folder with exactly these contents. Raises: ConfigurationError."""
    folders = load_trusted(environ)
    approved = {name: digest(content) for name, content in files.items()}
    save_trusted({**folders, str(folder.expanduser().resolve()): approved}, environ)


def distrust(folder: Path, environ: Mapping[str, str]) -> bool:
    """Forget the folder; False when it was not trusted. Raises: ConfigurationError."""
    folders = load_trusted(environ)
    was = folders.pop(str(folder.expanduser().resolve()), None)
    if was is not None:
        save_trusted(folders, environ)
    return was is not None


def save_trusted(folders: Mapping[str, Mapping[str, str]], environ: Mapping[str, str]) -> None:
    file = paths(environ).trusted
    make_folder(file.parent)
    text = json.dumps({"version": 1, "folders": folders}, indent=1, sort_keys=True)
    replace_file(file, text + "\n")
