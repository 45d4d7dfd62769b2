"""A program in a box of its own, for as long as the box: how a tool server is confined.

Covers: what `bubblewrap` covers, for one program whose standard streams the host holds; more of the
host's files, read-only, where they are named; its environment, which is on no command line.
Does not cover: what the program answers. With `none` nothing is covered, but everything it started
still ends with it, and with the host.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wardian_sandbox.bootstrap import BARE, BOOTSTRAP, PACKAGE
from wardian_sandbox.bubblewrap import HOME, MODULES, UNPRIVILEGED_ID, Arguments, launch_bwrap
from wardian_sandbox.channel import Channel
from wardian_sandbox.diagnosis import PYTHON, find_bwrap, require_python
from wardian_sandbox.egress.dialling import Resolve, look_up
from wardian_sandbox.egress.proxy import EgressProxy, OnEgress, ignore
from wardian_sandbox.errors import SandboxError, SandboxLost, SandboxUnavailable
from wardian_sandbox.files import WORKSPACE
from wardian_sandbox.guard import Guard, Watched
from wardian_sandbox.hiding import Hiding, can_cover
from wardian_sandbox.idmapped import detached, mapped, place_of
from wardian_sandbox.opening import proxy_for
from wardian_sandbox.process import BoxProcess, SweepingProcess
from wardian_sandbox.program import BACKENDS, Program, can_be_shown, home
from wardian_sandbox.protecting import Mount, Protection, can_mount
from wardian_sandbox.service_streams import Incoming, Outgoing, Tail
from wardian_sandbox.starting import start, start_in_group
from wardian_sandbox.workspace import covered

HOST_LIMITS = ("memory_bytes", "cpu_seconds")
"""Kept for the box as a whole only: programs with a heap of their own reserve far more address
space than they use, and a server's processor time is not one call's."""
SCRATCH = f"{HOME}/work"
"""Where a program without a workspace starts: empty, and gone with it."""
CLOSE_SECONDS = 1.0
"""For a program to end by itself once its standard input has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEnd:
    """How a program ended."""

    exit_code: int | None
    """None where only the box's end is known."""
    why: str
    """Completes "it …"."""


class Service:
    """A running program: its streams, and its end."""

    def __init__(
        self,
        process: BoxProcess,
        channel: Channel,
        streams: "Streams",
        guard: Guard | None,
        close: Callable[[], None],
        proxy: EgressProxy | None,
    ) -> None:
        self._process = process
        self._channel = channel
        self._guard = guard
        self._proxy = proxy
        self._release = close
        self._why = ""
        self.stdin, self.stdout, self.stderr = streams.stdin, streams.stdout, streams.stderr
        self.ended: asyncio.Task[ServiceEnd]
        self._closing: asyncio.Task[None] | None = None

    async def serve(self, program: Program) -> None:
        """Start the program. Raises: SandboxLost."""
        _, answer = self._channel.request(
            "serve", command=list(program.command), environment=dict(program.environment)
        )
        watched = None
        if self._guard is not None:
            watched = self._guard.begin(program.within.limits)
            watched.stop = lambda: self.kill("used more than its limits allow")
        self.ended = asyncio.create_task(self._until_it_ends(answer, watched))

    def kill(self, why: str) -> None:
        """End it and all it started, now. `why` completes "it …"."""
        self._why = self._why or why
        self._channel.end(why)
        self._process.kill()

    async def close(self) -> None:
        """End its input, then it, and leave nothing behind. May be called twice."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._end())
        await asyncio.shield(self._closing)

    async def _until_it_ends(
        self, answer: asyncio.Future[dict[str, Any]], watched: Watched | None
    ) -> ServiceEnd:
        try:
            facts = await answer
        except SandboxLost:
            known = "" if self._guard is None else self._guard.cause()
            return ServiceEnd(exit_code=None, why=self._why or known or "was ended")
        finally:
            if self._guard is not None and watched is not None:
                self._guard.end(watched)
        code = facts["exit_code"] if isinstance(facts.get("exit_code"), int) else None
        hit = "" if watched is None or not watched.hit else f" (limit: {', '.join(watched.hit)})"
        return ServiceEnd(exit_code=code, why=f"ended with exit code {code}{hit}")

    async def _end(self) -> None:
        self.stdin.end()
        await asyncio.wait((self.ended,), timeout=CLOSE_SECONDS)
        self.kill("was closed")
        await self._process.ended()
        await asyncio.wait((self.ended,))
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()
        self._process.release()
        if self._guard is not None:
            await self._guard.close()
        if self._proxy is not None:
            await self._proxy.close()
        self._release()


async def open_service(
    program: Program,
    *,
    backend: str = "bubblewrap",
    on_egress: OnEgress = ignore,
    resolve: Resolve = look_up,
) -> Service:
    """The program, started in a box of its own; with `none`, with the user's own rights.

    Raises: SandboxUnavailable when this machine cannot enforce the box; SandboxError when what the
    program is to see is not there.
    """
    if backend not in BACKENDS:
        known = " or ".join(BACKENDS)
        raise SandboxUnavailable(f"There is no sandbox {backend!r} for a server.", f"Use {known}.")
    for path in (*program.readable, *([program.workspace] if program.workspace else [])):
        if not path.exists():
            raise SandboxError(f"{path} does not exist.", "Correct the path, or leave it out.")
        if not can_be_shown(path) and backend != "none":
            raise SandboxError(
                f"{path} cannot be shown to a server: a box shows files and folders of yours, no "
                "devices, and not all there is.",
                "Leave it out, or name what of it is needed.",
            )
    streams = await Streams.open()
    try:
        service = await (
            _unconfined(program, streams)
            if backend == "none"
            else _boxed(program, streams, proxy_for(program.within, on_egress, resolve))
        )
    except BaseException:
        streams.close()
        raise
    finally:
        streams.close_theirs()
    try:
        await service.serve(program)
    except BaseException:
        service.ended = asyncio.create_task(_never_began())
        await service.close()
        raise
    return service


async def _never_began() -> ServiceEnd:
    return ServiceEnd(exit_code=None, why="did not start")


class Streams:
    """The three pipes of a program: our ends, and its."""

    def __init__(self) -> None:
        self.stdin, self.stdout, self.stderr = Outgoing(), Incoming(), Tail()
        self.theirs: dict[str, int] = {}

    @classmethod
    async def open(cls) -> "Streams":
        """Raises: OSError."""
        streams = cls()
        try:
            streams.theirs["stdin"], ours = os.pipe()
            await streams.stdin.connect(ours)
            for name, stream in (("stdout", streams.stdout), ("stderr", streams.stderr)):
                ours, streams.theirs[name] = os.pipe()
                await stream.connect(ours)
        except BaseException:
            streams.close()
            streams.close_theirs()
            raise
        return streams

    def close(self) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()

    def close_theirs(self) -> None:
        while self.theirs:
            os.close(self.theirs.popitem()[1])


@dataclass(slots=True)
class Folder:
    """The workspace of a service, and all that had to be mounted for it. Satisfies `Shown`."""

    path: Path
    tree: None = None
    mounts: tuple[Mount, ...] = ()
    readable: dict[Path, Path] = field(default_factory=dict[Path, Path])
    trees: list[int] = field(default_factory=list[int])
    protection: Protection | None = None

    def close_trees(self) -> None:
        while self.trees:
            os.close(self.trees.pop())

    def close(self) -> None:
        self.close_trees()
        if self.protection is not None:
            self.protection.remove()


def _folder(program: Program) -> Folder:
    """Raises: SandboxUnavailable."""
    folder = Folder(path=program.workspace.resolve() if program.workspace else Path("/"))
    try:
        _fill(folder, program)
    except OSError as problem:
        folder.close()
        raise SandboxUnavailable(
            f"What the server is to see cannot be mounted ({problem.strerror or problem}).",
            "Leave the workspace out of its entry, or run as an ordinary user.",
        ) from problem
    except BaseException:
        folder.close()
        raise
    return folder


def _fill(folder: Folder, program: Program) -> None:
    """Raises: OSError, SandboxUnavailable."""
    if program.workspace is not None and program.within.writable:
        _protect(folder, program.within.protected)
    if program.workspace is not None and program.within.hidden:
        _hide(folder, program.within.hidden)
    if os.geteuid() != 0:
        folder.readable = {path: path for path in program.readable}
        return
    # The box's user may not come through root's folders: they are mounted where it can.
    writable = bool(program.within.writable)
    try:
        if program.workspace is not None:
            see = mapped if writable else detached
            folder.trees.append(see(folder.path, UNPRIVILEGED_ID))
        folder.trees += [detached(path.resolve(), UNPRIVILEGED_ID) for path in program.readable]
    except OSError:
        if program.workspace is not None and writable:
            raise
        folder.close_trees()  # a root that may not mount: what anybody may read can be seen
        folder.readable = {path: path for path in program.readable}
        return
    places = iter(range(len(folder.trees)))
    if program.workspace is not None:
        folder.path = place_of(next(places))
    folder.readable = {place_of(next(places)): path for path in program.readable}


def _protect(folder: Folder, protected: tuple[str, ...]) -> None:
    """Raises: SandboxUnavailable."""
    if not can_mount(folder.path, protected):
        raise SandboxUnavailable(
            f"The protected paths of {folder.path} cannot be kept by mounts.",
            'Give the server the workspace as "read".',
        )
    status = folder.path.stat()
    owner = (status.st_uid, status.st_gid) if os.geteuid() == 0 else None
    folder.protection = Protection(folder.path, protected, owner)
    folder.mounts = folder.protection.mounts


def _hide(folder: Folder, patterns: tuple[str, ...]) -> None:
    """Raises: SandboxUnavailable."""
    hidden = Hiding(folder.path, patterns).look()
    if not can_cover(hidden):
        raise SandboxUnavailable(
            f"{len(hidden)} paths of {folder.path} are to be hidden from the server, too many or"
            " with names that are no text.",
            "Leave the workspace out of its entry, or choose a local model.",
        )
    folder.mounts = covered(folder.mounts, folder.path, hidden)


async def _boxed(program: Program, streams: Streams, proxy: EgressProxy | None) -> Service:
    """Raises: SandboxUnavailable."""
    bwrap = find_bwrap()
    require_python()
    limits = program.within.limits
    folder = await asyncio.to_thread(_folder, program)

    def launch(control: int) -> subprocess.Popen[bytes]:
        arguments = Arguments(
            None if program.workspace is None else folder,
            program.within,
            bwrap.has_disable_userns,
            bwrap.has_size,
            folder.readable,
        )
        arguments.descriptors += [os.dup(fd) for fd in streams.theirs.values()]
        names = dict(zip(streams.theirs, arguments.descriptors[-3:], strict=True))
        settings["service"] = names
        try:
            inside = [str(PYTHON), *BARE, "-c", BOOTSTRAP, MODULES, str(control)]
            trees = folder.trees or None
            return launch_bwrap(str(bwrap.path), arguments, control, inside, trees)
        finally:
            arguments.close()

    settings: dict[str, Any] = {
        "root": SCRATCH if program.workspace is None else WORKSPACE,
        "home": HOME,
        "limits": _limits(program),
        "landlock": [HOME, WORKSPACE] if program.within.writable else [HOME],
    }
    try:
        (process, channel, _), group = await start_in_group(launch, settings, limits, proxy)
    except BaseException:
        if proxy is not None:
            await proxy.close()
        folder.close()
        raise
    guard = Guard(limits, program.workspace or Path("/"), process=process.pid, group=group)
    service = Service(process, channel, streams, guard, folder.close, proxy)
    guard.watch(service.kill)
    return service


async def _unconfined(program: Program, streams: Streams) -> Service:
    """Raises: SandboxUnavailable."""
    root = str(program.workspace or home())

    def launch(control: int) -> subprocess.Popen[bytes]:
        settings["service"] = dict(streams.theirs)
        return subprocess.Popen(
            [sys.executable, *BARE, "-c", BOOTSTRAP, str(PACKAGE), str(control)],
            env={name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(control, *streams.theirs.values()),
            start_new_session=True,
        )

    settings: dict[str, Any] = {"root": root, "limits": {}}
    process, channel, _ = await start(launch, settings, _explain)
    return Service(SweepingProcess(process), channel, streams, None, lambda: None, None)


def _limits(program: Program) -> dict[str, Any]:
    limits = asdict(program.within.limits)
    return {name: value for name, value in limits.items() if name not in HOST_LIMITS}


def _explain(complaint: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"The server's supervisor did not start: {complaint}.",
        "Check that the Python that runs Wardian works in a new process.",
    )
