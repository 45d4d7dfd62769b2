"""A box in a Docker container: runc's, or gVisor's.

Covers: see `wardian_sandbox.docker.container`; with gVisor also that the guest's system calls are
answered by a kernel of its own and not by the host's.
Does not cover: bugs in the host's kernel (runc), or in Docker and its runtimes, which are root's;
`readable` and `writable` globs for code (only file operations obey them); protected paths that do
not exist when the box is opened, for code; with gVisor the system call filter.
"""

import asyncio
import contextlib
import json
import os
import socket
import time
from dataclasses import asdict
from typing import Any

from wardian_sandbox import seccomp
from wardian_sandbox.cgroup import gauges_of
from wardian_sandbox.channel import Channel
from wardian_sandbox.docker.attached import AttachedChannel, unframed
from wardian_sandbox.docker.container import HOME, Plan
from wardian_sandbox.docker.engine import Engine, find_engine
from wardian_sandbox.docker.folder import BoxFolder, other_user
from wardian_sandbox.docker.image import find, foreign
from wardian_sandbox.docker.leftovers import labels, reap
from wardian_sandbox.docker.probing import RUNTIMES
from wardian_sandbox.docker.problems import DockerError
from wardian_sandbox.docker.process import ContainerProcess
from wardian_sandbox.egress.proxy import EgressProxy
from wardian_sandbox.errors import SandboxLost, SandboxUnavailable, last_line
from wardian_sandbox.files import WORKSPACE
from wardian_sandbox.guard import Guard
from wardian_sandbox.inner.control import STREAMS
from wardian_sandbox.limits import kept_by
from wardian_sandbox.starting import abandon, introduce
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Confinement, SandboxIdentity
from wardian_sandbox.workspace import Workspace

START_SECONDS = 60.0
"""A container on a busy machine; gVisor's takes several times as long as runc's."""
LOOK_SECONDS = 1.0
"""How often a container that is slow to start is looked at."""
ENFORCED = (
    "pid-namespace",
    "ipc-namespace",
    "no-network",
    "read-only-system",
    "private-tmp",
    "no-capabilities",
    "no-new-privileges",
    "cgroup-limits",
    "rlimits",
)


async def open_docker(
    workspace: Workspace,
    confinement: Confinement,
    proxy: EgressProxy | None = None,
    *,
    backend: str,
    user: int,
    image: str,
    run: str = "",
    chosen: str = "",
) -> SupervisedSandbox:
    """A container around `workspace`, whose files belong to `user`; `proxy` is its only way out.

    `chosen` says why it is this backend, for the record. Raises: SandboxUnavailable.
    """
    runtime = RUNTIMES[backend]
    is_attached = runtime == "runsc"
    if proxy is not None and is_attached:
        raise SandboxUnavailable(
            "A gVisor box has no way out, but the policy allows hosts.",
            "Remove the hosts from the policy, or choose --sandbox bubblewrap or docker.",
        )
    engine = find_engine()
    digest = await find(engine, image)
    if is_attached:
        await _require_plain_users(engine)
    reaping = asyncio.create_task(_reap_quietly(engine))
    folder = BoxFolder(user, listens=not is_attached)
    plan = Plan(
        image=digest,
        runtime=runtime,
        user=user,
        workspace=workspace.path,
        protection=workspace.mounts,
        folder=folder.path,
        control=STREAMS if is_attached else folder.control,
        confinement=confinement,
        labels=labels(run),
        seccomp=_filter(runtime),
    )
    started: tuple[ContainerProcess, Channel, dict[str, Any]] | None = None
    try:
        started = await _start(engine, plan, folder, proxy)
        await asyncio.shield(reaping)
    except BaseException:
        if started is None:
            folder.remove()
        else:
            await abandon(*started[:2])
        await reaping
        raise
    process, channel, ready = started
    gauges = gauges_of(process.pid) if process.pid else None
    guard = Guard(confinement.limits, workspace.path, process=process.pid, gauges=gauges)
    identity = SandboxIdentity(
        backend=backend,
        enforced=(
            *ENFORCED,
            *(("own-kernel",) if is_attached else ("seccomp",)),
            *(("landlock",) if ready.get("landlock") else ()),
        ),
        limits=kept_by("Docker's cgroup", cgroup=True),
        detail={
            "runtime": runtime,
            "image": image,
            "digest": digest,
            "container": process.container,
            "landlock": ready.get("landlock"),
            "python": ready.get("python"),
            "workspace": workspace.mode,
            "runs_as": user,
            "egress": list(confinement.egress.hosts),
            "chosen": chosen,
        },
        notice=foreign(image, digest),
    )
    return SupervisedSandbox(process, channel, workspace, identity, WORKSPACE, proxy, guard)


async def _start(
    engine: Engine, plan: Plan, folder: BoxFolder, proxy: EgressProxy | None
) -> tuple[ContainerProcess, Channel, dict[str, Any]]:
    """Make and start the container, and wait until its supervisor serves."""
    process = ContainerProcess(engine, f"wardian-{os.urandom(6).hex()}", folder)
    channel: Channel | None = None
    sock: socket.socket | None = None
    try:
        body = plan.as_json()
        await engine.ask("POST", "/containers/create", body=body, name=process.container)
        sock = await _connect(engine, plan, folder, process)
        async with asyncio.timeout(START_SECONDS):
            await introduce(sock, _settings(plan), proxy)
            channel = await (AttachedChannel if plan.is_attached else Channel).connect(sock)
            ready = await channel.ready
    except (SandboxLost, TimeoutError, OSError) as problem:
        said = channel.complaint if isinstance(channel, AttachedChannel) else ""
        explained = await _explained(engine, process, said or str(problem))
        await _discard(process, channel or sock)
        raise explained from problem
    except BaseException:
        await _discard(process, channel or sock)
        raise
    return process, channel, ready


async def _discard(process: ContainerProcess, control: Channel | socket.socket | None) -> None:
    if isinstance(control, Channel):
        control.end("it did not start")
    elif control is not None:
        control.close()
    process.kill()
    await process.ended()


async def _connect(
    engine: Engine, plan: Plan, folder: BoxFolder, process: ContainerProcess
) -> socket.socket:
    """Start the container; the connected socket of its supervisor."""
    path = f"/containers/{process.container}"
    if plan.is_attached:
        sock = await engine.attach(process.container)
        try:
            await engine.ask("POST", f"{path}/start", seconds=START_SECONDS)
            process.know(int((await engine.ask("GET", f"{path}/json"))["State"]["Pid"]))
        except BaseException:
            sock.close()
            raise
        return sock
    connecting = asyncio.create_task(folder.accept())
    try:
        await engine.ask("POST", f"{path}/start", seconds=START_SECONDS)
        sock, pid = await _first(connecting, engine, process)
    except BaseException:
        connecting.cancel()
        (come,) = await asyncio.gather(connecting, return_exceptions=True)
        if not isinstance(come, BaseException):
            come[0].close()
        raise
    process.know(pid)
    return sock


async def _first(
    connecting: "asyncio.Task[tuple[socket.socket, int]]", engine: Engine, process: ContainerProcess
) -> tuple[socket.socket, int]:
    """The supervisor's connection, unless its container ends before it comes."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        await asyncio.wait((connecting,), timeout=LOOK_SECONDS)
        if connecting.done():
            return connecting.result()
        found = await engine.ask("GET", f"/containers/{process.container}/json")
        if not found["State"]["Running"]:
            break
    raise await _explained(engine, process, "its supervisor did not come")


async def _explained(engine: Engine, process: ContainerProcess, said: str) -> SandboxUnavailable:
    """What stopped the container from starting, in its own words if there are any."""
    path = f"/containers/{process.container}/logs"
    logged = b""
    with contextlib.suppress(DockerError):  # an attached container has no log
        logged = await asyncio.to_thread(engine.read, path, stdout=1, stderr=1, tail=20)
    words = last_line(unframed(logged).decode(errors="replace")) or last_line(said)
    return SandboxUnavailable(
        f"The container did not start: {words}.",
        "Build its image anew with 'agent sandbox build', and see 'agent sandbox doctor'.",
    )


def _filter(runtime: str) -> str:
    """The system call filter. None for gVisor: its own kernel answers the calls, and the filters
    that it can apply inside know neither all names nor other errors than EPERM.
    """
    return "unconfined" if runtime == "runsc" else json.dumps(seccomp.docker_profile())


async def _require_plain_users(engine: Engine) -> None:
    options: list[str] = (await engine.ask("GET", "/info")).get("SecurityOptions") or []
    if any("name=rootless" in option or "name=userns" in option for option in options):
        raise other_user()


async def _reap_quietly(engine: Engine) -> None:
    with contextlib.suppress(DockerError):  # a box can be had without it
        await reap(engine)


def _settings(plan: Plan) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "root": WORKSPACE,
        "names": [WORKSPACE],
        "home": HOME,
        "limits": asdict(plan.confinement.limits),
        # Counted per user of the host, and so over all boxes; the container has a limit of its own.
        "unlimited": ["processes"],
    }
    if not plan.is_attached:
        settings["landlock"] = [HOME, WORKSPACE] if plan.confinement.writable else [HOME]
    return settings
