"""The workspace on the host's side: the folder itself, or a private copy of it."""

import asyncio
import os
from pathlib import Path
from typing import Protocol

from wardian_sandbox.protecting import Mount, Protection
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

    async def before_call(self) -> None: ...

    async def after_call(self) -> None: ...

    async def diff(self) -> tuple[FileChange, ...]: ...

    async def apply(self) -> tuple[FileChange, ...]: ...

    async def close(self) -> None:
        """The box is dead: take over its last changes, remove what was made for it."""
        ...


class MountedWorkspace:
    """The user's own folder: what the box changes is changed."""

    mode = "mount"

    def __init__(
        self, path: Path, protected: tuple[str, ...] = (), tree: int | None = None
    ) -> None:
        """`protected` are paths that are kept by mounts; `tree` is closed with the workspace."""
        self.path = self.truth = path
        self.tree = tree
        status = path.stat()
        owner = None if tree is None else (status.st_uid, status.st_gid)
        self._protection = Protection(path, protected, owner)
        self.mounts = self._protection.mounts
        # Taken while the box starts; the first call waits for it.
        self._opened = self._look()

    def _look(self) -> asyncio.Task[Snapshot]:
        return asyncio.create_task(asyncio.to_thread(take_snapshot, self.path))

    async def renew(self) -> None:
        await self._forget()
        self._opened = self._look()

    async def before_call(self) -> None:
        if not self._opened.done():
            # Whatever came of it is told by `diff`, which is the only one to need it.
            await asyncio.wait((self._opened,))

    async def after_call(self) -> None:
        pass

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
