"""The workspace on the host's side: the folder itself, or a private copy of it."""

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from wardian_sandbox.errors import SandboxError
from wardian_sandbox.protecting import Cover, Mount, Protection
from wardian_sandbox.snapshot import Snapshot, changes_between, take_snapshot
from wardian_sandbox.types import FileChange


class Workspace(Protocol):
    """The folder a box works in, and what becomes of the changes made there."""

    @property
    def path(self) -> Path:
        """What is mounted into the box."""
        ...

    @property
    def mode(self) -> str:
        """mount, synchronised, copy"""
        ...

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What of it is mounted on its own place, to protect it."""
        ...

    @property
    def hidden(self) -> tuple[str, ...]:
        """Paths of it that nothing in the box sees."""
        ...

    @property
    def tree(self) -> int | None:
        """A descriptor of it as a mount that shows it as the box's user's; for one box. None where
        it is so anyway. See `idmapped`."""
        ...

    @property
    def truth(self) -> Path:
        """The folder that has its present state once a call is over."""
        ...

    async def renew(self) -> None:
        """The box, opened ahead, is taken into use: `diff` counts from what the folder is now."""
        ...

    async def show(self, paths: Sequence[str]) -> None:
        """Show these although they are hidden. Raises: SandboxError."""
        ...

    async def before_call(self) -> None:
        """Raises: SandboxError when the box must not run with what became of the folder."""
        ...

    async def after_call(self) -> None:
        """Raises: SandboxError when what came of the call must not be used."""
        ...

    async def diff(self) -> tuple[FileChange, ...]: ...

    async def apply(self) -> tuple[FileChange, ...]: ...

    async def close(self) -> None:
        """The box is dead: take over its last changes, remove what was made for it."""
        ...


def identity_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from another that takes its place; None if there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def covered(mounts: tuple[Mount, ...], root: Path, hidden: Iterable[str]) -> tuple[Mount, ...]:
    """The mounts that also hide something, outer ones first; without those of what is hidden then
    anyway."""
    names = tuple(hidden)
    below = tuple(f"{name}/" for name in names)
    found = {one.path: one for one in mounts if not one.path.startswith(below)}
    for name in names:
        steps = name.split("/")
        for end in range(1, len(steps)):
            # A folder on the way that could be moved would take it where no glob names it.
            above = "/".join(steps[:end])
            found.setdefault(above, Mount(path=above, read_only=False))
        kind = Cover.FOLDER if (root / name).is_dir() else Cover.FILE
        found[name] = Mount(path=name, read_only=True, cover=kind)
    return tuple(found[path] for path in sorted(found))


class MountedWorkspace:
    """The user's own folder: what the box changes is changed."""

    mode = "mount"

    def __init__(
        self,
        path: Path,
        protected: tuple[str, ...] = (),
        tree: int | None = None,
        hidden: tuple[str, ...] = (),
    ) -> None:
        """`protected` are paths that are kept by mounts, `hidden` such as are covered; `tree` is
        closed with the workspace."""
        self.path = self.truth = path
        self.tree = tree
        self.hidden = hidden
        status = path.stat()
        owner = None if tree is None else (status.st_uid, status.st_gid)
        self._protection = Protection(path, protected, owner)
        self._covered = {name: found for name in hidden if (found := identity_of(path / name))}
        self.mounts = covered(self._protection.mounts, path, self._covered)
        # Taken while the box starts; the first call waits for it.
        self._opened = self._look()

    def _look(self) -> asyncio.Task[Snapshot]:
        return asyncio.create_task(asyncio.to_thread(take_snapshot, self.path))

    async def renew(self) -> None:
        await self._forget()
        self._opened = self._look()

    async def show(self, paths: Sequence[str]) -> None:
        """Raises: SandboxError: what is mounted stays so while the box is open."""
        if self.hidden:
            raise SandboxError(
                f"{self.hidden[0]} was hidden when the sandbox was opened.", "Open another one."
            )

    async def before_call(self) -> None:
        self._check_covered()
        if not self._opened.done():
            # Whatever came of it is told by `diff`, which is the only one to need it.
            await asyncio.wait((self._opened,))

    async def after_call(self) -> None:
        self._check_covered()

    def _check_covered(self) -> None:
        for name, before in self._covered.items():
            if identity_of(self.path / name) not in (before, None):
                raise SandboxError(
                    f"{name}, which the policy hides from the sandbox, was replaced while the"
                    " sandbox was open, which shows the new one.",
                    "Go on with the run (`agent resume`): it opens another sandbox.",
                )

    async def diff(self) -> tuple[FileChange, ...]:
        before = await asyncio.shield(self._opened)
        return changes_between(before, await asyncio.to_thread(take_snapshot, self.path))

    async def apply(self) -> tuple[FileChange, ...]:
        return ()

    async def close(self) -> None:
        await self._forget()
        self._protection.remove()
        if self.tree is not None:
            os.close(self.tree)
            self.tree = None

    async def _forget(self) -> None:
        self._opened.cancel()
        await asyncio.wait((self._opened,))
        if not self._opened.cancelled():
            self._opened.exception()  # marked as seen
