"""Graders that run: a command's exit, and tests that the graded run never saw.

Covers: they run in a box of their own on a copy of the workspace, without a network, and never in
the box of the run; hidden files replace whatever the run put in their places; a run that wrote to
those places, or to files that decide how tests run, is named a suspect.
Does not cover: code under test that finds out, while it is tested, what the test expects. Tests
that import it share its process: prefer tests that run a program and read what it prints.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from wardian.rewards.patterns import compiled
from wardian.rewards.types import Attempt, GradingFailed, Reward
from wardian.rewards.versions import version_of
from wardian_sandbox import Confinement, Ending, ExecResult, ResourceLimits, open_sandbox
from wardian_sandbox.errors import SandboxError

MAX_OUTPUT_CHARS = 2_000
STEERING = (
    "conftest.py",
    "pytest.ini",
    "pyproject.toml",
    "setup.cfg",
    "tox.ini",
    "sitecustomize.py",
    "usercustomize.py",
    "package.json",
    "Makefile",
)
"""Files that change how tests run without being tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandExit:
    """A shell command in a copy of the workspace ends with the expected code, and prints a text."""

    name: str = field(default="command", init=False)
    command: str
    exit_code: int = 0
    prints: str = ""
    """Must be in its output"""
    seconds: float = 60.0
    sandbox: str = "auto"
    image: str = ""

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        """Raises: GradingFailed."""
        place = Place(sandbox=self.sandbox, image=self.image, seconds=self.seconds)
        result = await run_on_copy(place, attempt, {}, self.command)
        passes = result.exit_code == self.exit_code and self.prints in result.output
        return Reward(
            value=float(passes and result.ending is Ending.EXITED),
            source=self.name,
            version=self.version,
            detail=told(result),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenTests:
    """Tests that are laid over a copy of the workspace once the run is over: exit 0 is passed."""

    name: str = field(default="tests", init=False)
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path below the workspace → text"""
    command: str = "python3 -m pytest -q -p no:cacheprovider"
    proof: str = r"(?m)^=* ?\d+ passed"
    """RE2. Must match the output too: code that ends its process early with 0 passed nothing"""
    seconds: float = 120.0
    sandbox: str = "auto"
    image: str = ""

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        """Raises: GradingFailed."""
        place = Place(sandbox=self.sandbox, image=self.image, seconds=self.seconds)
        suspicions = tuple(self._suspicions(attempt))
        result = await run_on_copy(place, attempt, self.files, self.command)
        succeeded = result.ending is Ending.EXITED and result.exit_code == 0
        is_proven = bool(compiled(self.proof).search(result.output)) if self.proof else True
        passed = succeeded and is_proven
        detail = told(result)
        if succeeded and not is_proven:
            detail["problem"] = "it ended well and does not say that tests ran"
        return Reward(
            value=float(passed),
            source=self.name,
            version=self.version,
            detail=detail,
            suspicions=suspicions if passed else (),
        )

    def _suspicions(self, attempt: Attempt) -> Iterator[str]:
        changed = {str(change.get("path", "")) for change in changes_of(attempt)}
        for path in sorted(changed & self.files.keys()):
            yield f"The run wrote {path}, where a hidden test belongs."
        for path in sorted(changed):
            if PurePosixPath(path).name in STEERING and path not in self.files:
                yield f"The run changed {path}, which can change what tests do."


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and how long a grader runs."""

    sandbox: str
    image: str
    seconds: float


def changes_of(attempt: Attempt) -> Iterator[dict[str, Any]]:
    for event in attempt.events:
        yield from getattr(event, "changes", ())


async def run_on_copy(
    place: Place, attempt: Attempt, files: Mapping[str, str], command: str
) -> ExecResult:
    """The command's result on a copy of the attempt's files. Raises: GradingFailed."""
    if attempt.workspace is None:
        raise GradingFailed("The run's files are not known.", "Grade where its workspace is.")
    within = Confinement(
        limits=ResourceLimits(wall_seconds=place.seconds, cpu_seconds=int(place.seconds) + 1)
    )
    with tempfile.TemporaryDirectory(prefix="wardian-grading-") as temporary:
        folder = Path(temporary) / "workspace"
        try:
            shutil.copytree(attempt.workspace, folder, symlinks=True, ignore=_not_copied)
            for path, text in files.items():
                lay_over(folder, path, text)
            async with await open_sandbox(
                place.sandbox, folder, within, image=place.image
            ) as sandbox:
                return await sandbox.shell(command, within)
        except (SandboxError, OSError, shutil.Error) as problem:
            raise GradingFailed(f"The grader could not run: {problem}") from problem


def _not_copied(folder: str, names: list[str]) -> list[str]:
    """Pipes, sockets and devices, which would hang whoever reads them."""
    kept = (os.path.isfile, os.path.isdir, os.path.islink)
    paths = {name: f"{folder}/{name}" for name in names}
    return [name for name, path in paths.items() if not any(is_one(path) for is_one in kept)]


def lay_over(folder: Path, path: str, text: str) -> None:
    """Put a file in its place whatever stands there: a link or a folder is removed first.

    Raises: GradingFailed for a path that leads out; OSError.
    """
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        raise GradingFailed(f"{path!r} is no path inside the workspace.", "Mend the task.")
    at = folder
    for part in parts[:-1]:
        at = at / part
        if at.is_symlink() or (at.exists() and not at.is_dir()):
            at.unlink()
        at.mkdir(exist_ok=True)
    at = at / parts[-1]
    if at.is_dir() and not at.is_symlink():
        shutil.rmtree(at)
    at.unlink(missing_ok=True)
    at.write_text(text, encoding="utf-8")


def told(result: ExecResult) -> dict[str, Any]:
    return {
        "exit_code": result.exit_code,
        "ending": str(result.ending),
        "output": result.output[-MAX_OUTPUT_CHARS:],
        "seconds": round(result.seconds, 3),
    }
