"""Boxes opened ahead, so that the next one is there at once."""

import asyncio
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Self

from wardian_sandbox.errors import SandboxError
from wardian_sandbox.opening import open_sandbox
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Confinement


class SandboxPool:
    """Fresh boxes around one folder, all opened alike; `size` of them wait at any time.

    A box is given out once and never comes back, so nobody finds what somebody else left. Boxes
    that were given out are their takers' to close.
    """

    def __init__(
        self,
        backend: str,
        workspace: Path,
        confinement: Confinement,
        *,
        size: int = 1,
        mode: str = "mount",
        image: str = "",
        run: str = "",
    ) -> None:
        """The arguments are those of `open_sandbox`."""
        self._backend = backend
        self._workspace = workspace
        self._confinement = confinement
        self._size = size
        self._mode = mode
        self._image = image
        self._run = run
        self._ahead: deque[asyncio.Task[SupervisedSandbox]] = deque()

    async def open(self) -> SupervisedSandbox:
        """A fresh box, whose workspace is what the folder is now. Raises: as `open_sandbox`."""
        while True:
            self._fill()
            opening = self._ahead.popleft()
            try:
                box = await asyncio.shield(opening)
            except asyncio.CancelledError:
                self._ahead.appendleft(opening)
                raise
            if not box.is_lost:  # as when the daemon was restarted while it waited
                break
            await box.close()
        try:
            await box.renew()
        except BaseException:
            await box.close()
            raise
        self._fill()
        return box

    async def warm(self) -> None:
        """Wait until all are ready. Raises: as `open_sandbox`."""
        self._fill()
        await asyncio.gather(*(asyncio.shield(opening) for opening in self._ahead))

    async def close(self) -> None:
        """Close those that were not given out."""
        waiting, self._ahead, self._size = self._ahead, deque(), 0
        for opening in waiting:
            opening.cancel()
        for opening in waiting:
            with suppress(asyncio.CancelledError, SandboxError):
                await (await opening).close()

    async def __aenter__(self) -> Self:
        self._fill()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _fill(self) -> None:
        while len(self._ahead) < max(self._size, 1):
            self._ahead.append(asyncio.create_task(self._open_one()))

    async def _open_one(self) -> SupervisedSandbox:
        return await open_sandbox(
            self._backend,
            self._workspace,
            self._confinement,
            mode=self._mode,
            image=self._image,
            run=self._run,
        )
