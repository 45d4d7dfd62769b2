"""What a run left in its workspace: files that must be there, be gone, or hold something."""

import hashlib
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from wardian.rewards.patterns import compiled
from wardian.rewards.types import Attempt, GradingFailed, Reward
from wardian.rewards.versions import version_of

MAX_FILE_BYTES = 16 << 20
MAX_OTHERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedFile:
    """One file of the workspace as it must be; each part that is given must hold."""

    path: str
    """Relative to the workspace, with forward slashes"""
    absent: bool = False
    folder: bool = False
    """It is a folder; nothing more is asked of it"""
    text: str | None = None
    """All of it; line ends and outer space are not compared"""
    number: float | None = None
    """All of it is this number, to four decimals"""
    contains: tuple[str, ...] = ()
    matches: str = ""
    """RE2"""
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """The share of the expected files that are as they must be; `strict` is all of them or 0.

    Read without following a link at any part of a path: what a run planted leads nowhere.
    """

    name: str = field(default="files", init=False)
    files: tuple[ExpectedFile, ...]
    strict: bool = True
    only: bool = False
    """No other file may be there; hidden ones (`.git`, `.cache`) and Python's caches may"""

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        """Raises: GradingFailed."""
        if attempt.workspace is None:
            raise GradingFailed("The run's files are not known.", "Grade where its workspace is.")
        faults = {file.path: fault_of(file, attempt.workspace) for file in self.files}
        wrong = {path: fault for path, fault in faults.items() if fault}
        if self.only:
            wrong |= dict.fromkeys(self._others(attempt.workspace), "it should not be there")
        share = max(0.0, 1 - len(wrong) / len(self.files)) if self.files else float(not wrong)
        value = float(not wrong) if self.strict else share
        detail: dict[str, Any] = {"wrong": wrong} if wrong else {}
        return Reward(value=value, source=self.name, version=self.version, detail=detail)

    def _others(self, workspace: Path) -> list[str]:
        named = {file.path for file in self.files if not file.absent}
        return [path for path in files_below(workspace) if path not in named][:MAX_OTHERS]


def files_below(folder: Path) -> Iterator[str]:
    """Paths of what is no folder; what is hidden and Python's caches are left out."""
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if one[0] != "." and one != "__pycache__")
        links = [one for one in folders if (Path(at) / one).is_symlink()]
        for name in sorted([*names, *links]):
            if not name.startswith("."):
                yield (Path(at) / name).relative_to(folder).as_posix()


def fault_of(expected: ExpectedFile, workspace: Path) -> str:
    """What is wrong with a file; empty if nothing. Raises: GradingFailed for a bad pattern."""
    if expected.folder:
        return "" if is_folder(workspace, expected.path) else "there is no such folder"
    content = read_within(workspace, expected.path)
    if expected.absent:
        return "it is there" if content is not None else ""
    if content is None:
        return "it is not there, or no plain file"
    if expected.sha256 and hashlib.sha256(content).hexdigest() != expected.sha256:
        return "its content is another"
    text = content.decode("utf-8", "replace")
    if expected.text is not None and lines(text) != lines(expected.text):
        return "its text is another"
    if expected.number is not None and not is_number(text, expected.number):
        return "it is not that number"
    if missing := [part for part in expected.contains if part not in text]:
        return f"it lacks {missing[0]!r:.200}"
    if expected.matches:
        return "" if compiled(expected.matches).search(text) else "it does not match"
    return ""


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def is_number(text: str, value: float) -> bool:
    try:
        return math.isclose(float(text), value, rel_tol=1e-9, abs_tol=1.1e-4)
    except ValueError:
        return False


def is_folder(workspace: Path, path: str) -> bool:
    """Raises: GradingFailed for a path that leads out."""
    at = workspace
    for part in parts_of(path):
        at = at / part
        if at.is_symlink() or not at.is_dir():
            return False
    return True


def parts_of(path: str) -> tuple[str, ...]:
    """Raises: GradingFailed for a path that leads out."""
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        raise GradingFailed(f"{path!r} is no path inside the workspace.", "Mend the task.")
    return parts


def read_within(folder: Path, path: str) -> bytes | None:
    """A plain file's first `MAX_FILE_BYTES` bytes; None if there is none, or a link on the way.

    Raises: GradingFailed for a path that leads out.
    """
    parts = parts_of(path)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            below = os.open(part, flags | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        file = os.open(parts[-1], flags, dir_fd=at)
    except OSError:
        return None
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        return None
    with os.fdopen(file, "rb") as reading:
        return reading.read(MAX_FILE_BYTES)
