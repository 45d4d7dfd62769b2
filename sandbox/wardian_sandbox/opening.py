"""Opening a box by the name of its backend."""

import os
from pathlib import Path

from wardian_sandbox.bubblewrap import UNPRIVILEGED_ID, open_bubblewrap
from wardian_sandbox.copied import CopiedWorkspace
from wardian_sandbox.errors import SandboxError, SandboxUnavailable
from wardian_sandbox.none import open_unconfined
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Confinement
from wardian_sandbox.workspace import MountedWorkspace, Workspace

BACKENDS = ("auto", "bubblewrap", "none")
MODES = ("mount", "copy")


async def open_sandbox(
    backend: str, workspace: Path, confinement: Confinement, *, mode: str = "mount"
) -> SupervisedSandbox:
    """An open box around a folder.

    `auto` is the strongest backend that this machine can really enforce, never `none`.
    `mode` is `mount` (changes are there at once, or after each call) or `copy` (changes stay in a
    private copy until `apply`).

    Raises: SandboxUnavailable when this machine cannot enforce it; SandboxError when the workspace
    cannot be used.
    """
    if backend not in BACKENDS:
        raise SandboxUnavailable(
            f"There is no sandbox {backend!r}.", f"Choose one of {', '.join(BACKENDS)}."
        )
    if mode not in MODES:
        raise SandboxError(f"There is no workspace mode {mode!r}.", "Choose mount or copy.")
    folder = await _open_workspace(_checked(workspace), backend, confinement, mode)
    open_box = open_unconfined if backend == "none" else open_bubblewrap
    try:
        return await open_box(folder, confinement)
    except BaseException:
        await folder.close()
        raise


def _checked(workspace: Path) -> Path:
    path = workspace.resolve()
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise SandboxError(f"The workspace {path} {what}.", "Choose a folder with --workspace.")
    if not os.access(path, os.R_OK | os.X_OK):
        raise SandboxError(
            f"The workspace {path} cannot be read.", "Choose a folder of yours with --workspace."
        )
    return path


async def _open_workspace(
    path: Path, backend: str, confinement: Confinement, mode: str
) -> Workspace:
    """Root's files cannot be written by the box's user, so root's workspace is always a copy."""
    is_dropped = backend != "none" and os.geteuid() == 0
    if mode == "mount" and not is_dropped:
        return MountedWorkspace(path)
    copy = CopiedWorkspace(
        path,
        box_user=UNPRIVILEGED_ID if is_dropped else None,
        live=mode == "mount",
        protected=confinement.protected,
    )
    try:
        await copy.fill()
    except BaseException:
        await copy.close()
        raise
    return copy
