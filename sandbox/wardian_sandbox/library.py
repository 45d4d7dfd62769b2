"""Boxes as a library: opened when a `with` block is entered, gone when it is left.

async with Bubblewrap("project") as sandbox:
    result = await sandbox.python("1 + 1")
"""

import tempfile
from pathlib import Path
from typing import ClassVar

from wardian_sandbox.opening import open_sandbox
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Confinement


class Box:
    """A box of the strongest backend that this machine can enforce. One at a time from each."""

    backend: ClassVar[str] = "auto"

    def __init__(
        self,
        workspace: Path | str | None = None,
        *,
        confinement: Confinement | None = None,
        mode: str = "mount",
        image: str = "",
    ) -> None:
        """Without a workspace the box has an empty folder of its own, deleted with it.

        `mode` and `image` are those of `open_sandbox`.
        """
        self._workspace = None if workspace is None else Path(workspace)
        self._confinement = confinement or Confinement()
        self._mode = mode
        self._image = image
        self._own: tempfile.TemporaryDirectory[str] | None = None
        self._open: SupervisedSandbox | None = None

    async def __aenter__(self) -> SupervisedSandbox:
        """Raises: SandboxUnavailable, SandboxError."""
        assert self._open is None, "one box at a time"
        if self._workspace is None:
            self._own = tempfile.TemporaryDirectory(prefix="wardian-workspace-")
        folder = self._workspace or Path(self._own.name if self._own else ".")
        try:
            self._open = await open_sandbox(
                self.backend, folder, self._confinement, mode=self._mode, image=self._image
            )
        except BaseException:
            self._clean_up()
            raise
        return self._open

    async def __aexit__(self, *_: object) -> None:
        box, self._open = self._open, None
        try:
            if box is not None:
                await box.close()
        finally:
            self._clean_up()

    def _clean_up(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            own.cleanup()


class Bubblewrap(Box):
    """A box of namespaces: needs no daemon, ready in tens of milliseconds."""

    backend = "bubblewrap"


class Docker(Box):
    """A container of the machine's Docker daemon, run by runc."""

    backend = "docker"


class GVisor(Box):
    """A container run by gVisor, whose system calls do not reach the host's kernel."""

    backend = "gvisor"


class Unconfined(Box):
    """No protection at all: a plain process of the user's."""

    backend = "none"
