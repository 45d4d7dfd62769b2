"""A program that is to run in a box of its own; see `service`, which starts it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wardian_sandbox.files import WORKSPACE
from wardian_sandbox.types import Confinement

BACKENDS = ("bubblewrap", "none")
SEARCHED = "/usr/local/bin:/usr/bin:/bin"
"""PATH in a box."""

OWN = (Path("/dev"), Path("/proc"), Path("/sys"))
"""What each box has of its own. A device that is mounted into a box is one no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is to run, and what it sees."""

    command: tuple[str, ...]
    """Looked up in the box's own PATH; nothing in it is expanded."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    workspace: Path | None = None
    """Where it starts; None is an empty folder of the box's own."""
    readable: tuple[Path, ...] = ()
    """Files and folders of the host that it sees read-only, where they are."""
    within: Confinement = field(default_factory=lambda: Confinement(writable=()))


def shown_as(program: Program, backend: str) -> str:
    """Where the program finds the workspace."""
    return WORKSPACE if backend != "none" else str(program.workspace or home())


def can_be_shown(path: Path) -> bool:
    """Is it a regular file or a folder of the host's, and not all of it?"""
    real = path.resolve()
    is_own = real == Path("/") or any(real.is_relative_to(top) for top in OWN)
    return not is_own and (real.is_file() or real.is_dir())


def home() -> Path:
    """The user's; the root where they have none."""
    return Path.home() if Path.home().is_dir() else Path("/")
