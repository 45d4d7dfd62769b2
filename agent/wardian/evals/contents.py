"""The files that a task begins with and is graded with: read, copied, and named by a digest."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from wardian.errors import ConfigurationError
from wardian.rewards.commands import lay_over

MAX_TEXT_BYTES = 16 << 20


def make_workspace(folder: Path, source: Path | None, files: Mapping[str, str]) -> None:
    """A start workspace in the empty `folder`: a copy of `source`, then `files` laid over it.

    Raises: OSError.
    """
    if source:
        shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)
    for path, text in files.items():
        lay_over(folder, path, text)


def texts_of_folder(folder: Path) -> dict[str, str]:
    """Path below it → text of each file. Raises: ConfigurationError for what is no text file."""
    found: dict[str, str] = {}
    for path in files_below(folder):
        name = path.relative_to(folder).as_posix()
        try:
            if path.is_symlink() or path.stat().st_size > MAX_TEXT_BYTES:
                raise ValueError
            found[name] = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as problem:
            raise ConfigurationError(
                f"The hidden file {path} is no text file of at most 16 MiB.",
                "Make it text, or let the check make it.",
            ) from problem
    return found


def digest_of_folder(folder: Path) -> str:
    """SHA-256 over names, executable bits and contents; of a link, where it leads."""
    total = hashlib.sha256()
    for path in files_below(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            kind, content = "link", os.fsencode(path.readlink())
        else:
            kind = "program" if os.access(path, os.X_OK) else "file"
            content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        total.update(f"{kind} {digest} {name}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """Plain files and links below it, in a fixed order; no link is followed."""
    for at, folders, names in os.walk(folder):
        folders.sort()
        links = [name for name in folders if (Path(at) / name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(at) / name
            if path.is_symlink() or path.is_file():
                yield path
