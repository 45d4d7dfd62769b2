"""Opening a box by the name of its backend."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from wardian_sandbox.bubblewrap import UNPRIVILEGED_ID, open_bubblewrap
from wardian_sandbox.choosing import NAMED, Choice, choose
from wardian_sandbox.copied import CopiedWorkspace
from wardian_sandbox.docker.backend import open_docker
from wardian_sandbox.docker.image import default_image
from wardian_sandbox.egress.dialling import Resolve, look_up
from wardian_sandbox.egress.names import BadName
from wardian_sandbox.egress.proxy import EgressProxy, OnEgress, ignore
from wardian_sandbox.egress.rules import unusable
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.hiding import Hiding, can_cover
from wardian_sandbox.idmapped import mapped
from wardian_sandbox.jobs.box import JobBoxes
from wardian_sandbox.none import open_unconfined
from wardian_sandbox.protecting import can_mount
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Confinement
from wardian_sandbox.workspace import MountedWorkspace, Workspace

MODES = ("mount", "copy")


async def open_sandbox(
    backend: str,
    workspace: Path,
    confinement: Confinement,
    *,
    mode: str = "mount",
    image: str = "",
    run: str = "",
    shows_later: bool = False,
    on_egress: OnEgress = ignore,
    resolve: Resolve = look_up,
) -> SupervisedSandbox:
    """An open box around a folder.

    `auto` is the strongest backend that this machine can really enforce, never `none`.
    `mode` is `mount` (changes are there at once, or after each call) or `copy` (changes stay in a
    private copy until `apply`). `image` and `run`, a name for people, are for containers.
    `shows_later`: what `confinement` hides may be shown by `show` (for which it is copied).
    `on_egress` is told of everything that code inside asks of the network, and what became of it;
    `resolve` looks up the hosts that `confinement.egress` allows.

    Raises: SandboxUnavailable when this machine cannot enforce it; SandboxError when the workspace
    cannot be used.
    """
    if mode not in MODES:
        raise SandboxError(f"There is no workspace mode {mode!r}.", "Choose mount or copy.")
    path, image = _checked(workspace), image or default_image()
    is_named = backend in NAMED
    reaches = bool(confinement.egress.hosts)
    choice = Choice(backend) if is_named else await choose(backend, image, reaches_hosts=reaches)

    async def reopen(workspace: Path, mode: str, within: Confinement | None) -> SupervisedSandbox:
        return await open_sandbox(
            choice.backend,
            workspace,
            within or confinement,
            mode=mode,
            image=image,
            run=run,
            shows_later=shows_later,
            on_egress=on_egress,
            resolve=resolve,
        )

    folder = await _open_workspace(path, choice.backend, confinement, mode, shows_later)
    box = await _open(choice, folder, confinement, image, run, on_egress, resolve)
    box.within, box.reopen = confinement, reopen
    box.jobs = JobBoxes(on_egress, resolve, confined=choice.backend != "none")
    return box


async def _open(
    choice: Choice,
    folder: Workspace,
    confinement: Confinement,
    image: str,
    run: str,
    on_egress: OnEgress,
    resolve: Resolve,
) -> SupervisedSandbox:
    proxy: EgressProxy | None = None
    try:
        if choice.backend == "none":
            return await open_unconfined(folder, confinement)
        proxy = proxy_for(confinement, on_egress, resolve)
        if choice.backend == "bubblewrap":
            return await open_bubblewrap(folder, confinement, proxy, choice.why)
        return await open_docker(
            folder,
            confinement,
            proxy,
            backend=choice.backend,
            user=UNPRIVILEGED_ID if os.geteuid() == 0 else os.geteuid(),
            image=image,
            run=run,
            chosen=choice.why,
        )
    except BaseException:
        if proxy is not None:
            await proxy.close()
        await folder.close()
        raise


def proxy_for(
    confinement: Confinement, on_egress: OnEgress, resolve: Resolve
) -> EgressProxy | None:
    """The way out of a box; None where it has none. Raises: SandboxError."""
    if not confinement.egress.hosts:
        return None
    try:
        return EgressProxy(confinement.egress, on_egress, resolve)
    except BadName as problem:
        raise unusable(problem) from problem


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
    path: Path, backend: str, confinement: Confinement, mode: str, shows_later: bool
) -> Workspace:
    """The folder itself, where it can be mounted; else a copy that is kept in step.

    Root's files cannot be written by the box's user: bubblewrap mounts them with their ids mapped,
    where the kernel can. A copy is what gVisor gets, since nothing inside it keeps set-user-id bits
    off files, but the way out does; and a workspace of which mounts cannot protect or hide what
    they have to.
    """
    is_dropped = backend != "none" and os.geteuid() == 0
    if mode == "mount" and backend == "none":
        return MountedWorkspace(path)
    mounted = mode == "mount" and backend != "gvisor" and can_mount(path, confinement.protected)
    hidden: tuple[str, ...] = ()
    if mounted and confinement.hidden:
        hidden = await asyncio.to_thread(Hiding(path, confinement.hidden).look)
    mounted = mounted and can_cover(hidden) and not (hidden and shows_later)
    protected = confinement.protected if confinement.writable else ()
    if mounted and not is_dropped:
        return MountedWorkspace(path, protected, hidden=hidden)
    if mounted and backend == "bubblewrap":
        with suppress(OSError):
            tree = await asyncio.to_thread(mapped, path, UNPRIVILEGED_ID)
            return MountedWorkspace(path, protected, tree, hidden)
    copy = CopiedWorkspace(
        path,
        box_user=UNPRIVILEGED_ID if is_dropped else None,
        live=mode == "mount",
        protected=confinement.protected,
        hidden=confinement.hidden,
    )
    try:
        await copy.fill()
    except BaseException:
        await copy.close()
        raise
    return copy
