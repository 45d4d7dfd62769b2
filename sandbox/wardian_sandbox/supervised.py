"""A box with our supervisor inside: the calls, the same for every backend."""

import asyncio
import functools
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from wardian_sandbox import transfer
from wardian_sandbox.channel import REMEDY, UNEXPECTED, Channel
from wardian_sandbox.egress.handover import receive_listener
from wardian_sandbox.egress.proxy import EgressProxy
from wardian_sandbox.errors import SandboxLost, SandboxUnavailable
from wardian_sandbox.guard import Guard, Watched
from wardian_sandbox.inner.frames import BadFrame, pack
from wardian_sandbox.results import exec_result, file_result
from wardian_sandbox.types import (
    Artefact,
    Confinement,
    ExecResult,
    FileChange,
    FileFailure,
    FileReference,
    ResourceLimits,
    SandboxIdentity,
)
from wardian_sandbox.workspace import Workspace

START_SECONDS = 20.0
HOST_GRACE_SECONDS = 5.0
"""How much longer than the supervisor the host waits before it ends the whole box."""
WRITING_OPERATIONS = ("write", "edit", "put")
T = TypeVar("T")


class BoxProcess(Protocol):
    """What a box lives in, as its backend keeps it."""

    def kill(self) -> None: ...

    async def ended(self) -> None:
        """Wait until it is gone, with all that was in it."""
        ...

    async def cause(self) -> str:
        """Why it ended, where nobody here ended it; empty when that is not known."""
        ...

    def release(self) -> None:
        """Let go of what was held to watch it; once it is gone."""
        ...


class Process:
    """A process of this host that a box lives in, watched without a thread."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        self._process.kill()

    async def ended(self) -> None:
        """Wait until it is gone."""
        if self._process.poll() is not None:
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        try:
            watch = os.pidfd_open(self._process.pid)
        except (OSError, AttributeError):  # an old kernel, or no Linux
            await asyncio.to_thread(self._process.wait)
            return
        try:
            loop.add_reader(watch, done.set)
            await done.wait()
        finally:
            loop.remove_reader(watch)
            os.close(watch)
        self._process.wait()

    async def cause(self) -> str:
        return ""

    def complaint(self) -> str:
        """What it wrote to its standard error; once it is gone."""
        stream = self._process.stderr
        return "" if stream is None else stream.read(4000).decode(errors="replace").strip()

    def release(self) -> None:
        if self._process.stderr is not None:
            self._process.stderr.close()


class SupervisedSandbox:
    """One open box. Satisfies `Sandbox`; made by a backend's `open_…` function."""

    def __init__(
        self,
        process: BoxProcess,
        channel: Channel,
        workspace: Workspace,
        identity: SandboxIdentity,
        shown_as: str,
        proxy: EgressProxy | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._process = process
        self._channel = channel
        self._workspace = workspace
        self._identity = identity
        self._shown_as = shown_as
        self._proxy = proxy
        self._guard = guard
        self._stopping: set[asyncio.Task[None]] = set()
        self._python_turn = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        # Whoever broke the protocol is not to run on.
        channel.lost.add_done_callback(lambda _: process.kill() if channel.is_broken else None)
        self._cause: str | None = None

    @property
    def identity(self) -> SandboxIdentity:
        return self._identity

    @property
    def workspace_path(self) -> str:
        """Where code in the box finds the workspace."""
        return self._shown_as

    async def python(self, code: str, within: Confinement) -> ExecResult:
        """Run `code` in the persistent interpreter. Raises: SandboxLost."""
        async with self._python_turn:
            return await self._run("python", within, code=code)

    async def shell(self, command: str, within: Confinement) -> ExecResult:
        """Run `command` with bash in the workspace; whatever it leaves running is killed.

        Raises: SandboxLost.
        """
        return await self._run("shell", within, command=command)

    async def file(
        self, operation: str, arguments: dict[str, Any], within: Confinement
    ) -> dict[str, Any] | FileFailure:
        """Do one file operation inside the box; see `wardian_sandbox.files`.

        Raises: SandboxLost.
        """
        answer = await self._call(
            "file",
            within,
            writes=operation in WRITING_OPERATIONS,
            file_operation=operation,
            arguments=arguments,
            within={
                "readable": list(within.readable),
                "writable": list(within.writable),
                "protected": list(within.protected),
            },
        )
        return self._understood(file_result, answer)

    async def refer(self, path: str, within: Confinement) -> FileReference | FileFailure:
        """What a file in the workspace is: size, kind, digest. Raises: SandboxLost."""
        return await self._transferred(transfer.refer(self._operation(within), path))

    async def get(
        self, path: str, within: Confinement, *, max_bytes: int = transfer.MAX_BYTES
    ) -> Artefact | FileFailure:
        """A file of the workspace with its bytes. Raises: SandboxLost."""
        return await self._transferred(transfer.get(self._operation(within), path, max_bytes))

    async def put(
        self, path: str, content: bytes | Path, within: Confinement
    ) -> FileReference | FileFailure:
        """Put a file of the host, or bytes, into the workspace.

        Raises: SandboxLost, OSError when the host's file cannot be read.
        """
        return await self._transferred(transfer.put(self._operation(within), path, content))

    async def reset(self) -> None:
        """End everything that runs in the box, and start a fresh interpreter. Files stay.

        Raises: SandboxLost.
        """
        _, answer = self._channel.request("reset")
        done, _ = await asyncio.wait((answer,), timeout=HOST_GRACE_SECONDS)
        if not done:
            await self._abandon("it did not reset")
        if answer.result().get("fresh") is not True:
            raise SandboxLost("The sandbox could not start a fresh interpreter.", REMEDY)

    async def diff(self) -> tuple[FileChange, ...]:
        """What changed in the workspace since the box was opened."""
        return await self._workspace.diff()

    async def apply(self) -> tuple[FileChange, ...]:
        """Bring changes made in a private copy to the real workspace; gives what it brought.

        Nothing to do where the workspace is mounted: there changes are there at once.
        """
        return await self._workspace.apply()

    @property
    def is_lost(self) -> bool:
        """Has it ended, or been closed?"""
        return self._channel.lost.done()

    async def renew(self) -> None:
        """Take into use a box that was opened ahead: changes are counted from now on.

        Raises: SandboxError.
        """
        await self._workspace.renew()

    async def close(self) -> None:
        """Kill everything inside and leave nothing behind. May be called twice."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._end())
        await asyncio.shield(self._closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _end(self) -> None:
        self._channel.end("it was closed")
        self._process.kill()
        await self._process.ended()
        self._process.release()
        if self._guard is not None:
            await self._guard.close()
        if self._proxy is not None:
            await self._proxy.close()
        await self._workspace.close()

    def _understood(self, read: Callable[[dict[str, Any]], T], answer: dict[str, Any]) -> T:
        """An answer as a result; one that makes no sense ends the box. Raises: ProtocolBroken."""
        try:
            return read(answer)
        except BadFrame as problem:
            raise self._channel.break_off(problem) from problem

    async def _transferred(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except BadFrame as problem:
            raise self._channel.break_off(problem) from problem

    def _operation(self, within: Confinement) -> transfer.Operation:
        async def do(name: str, arguments: dict[str, Any]) -> dict[str, Any] | FileFailure:
            return await self.file(name, arguments, within)

        return do

    async def _run(self, operation: str, within: Confinement, **details: Any) -> ExecResult:
        """Run code, with the host's guard watching. Raises: SandboxLost."""
        watched = None if self._guard is None else self._guard.begin(within.limits)
        try:
            facts = await self._call(operation, within, writes=True, watched=watched, **details)
        finally:
            if self._guard is not None and watched is not None:
                self._guard.end(watched)
        result = self._understood(exec_result, facts)
        return result if watched is None else watched.added_to(result)

    async def _call(
        self,
        operation: str,
        limited: Confinement,
        *,
        writes: bool,
        watched: Watched | None = None,
        **details: Any,
    ) -> dict[str, Any]:
        await self._workspace.before_call()
        limits = _as_json(limited.limits)
        try:
            number, answer = self._channel.request(operation, limits=limits, **details)
            if watched is not None:
                watched.stop = functools.partial(self._stop, number, answer)
            return await self._answer(number, answer, limited.limits)
        except SandboxLost as lost:
            raise await self._explained(lost) from lost
        finally:
            if writes:
                await self._workspace.after_call()

    async def _answer(
        self, number: int, answer: asyncio.Future[dict[str, Any]], limits: ResourceLimits
    ) -> dict[str, Any]:
        seconds = limits.wall_seconds + HOST_GRACE_SECONDS
        try:
            done, _ = await asyncio.wait((answer,), timeout=seconds)
        except asyncio.CancelledError:
            await self._cancel(number, answer)
            raise
        if not done:
            await self._abandon("it did not keep its time limit")
        return answer.result()

    def _stop(self, number: int, answer: asyncio.Future[dict[str, Any]]) -> None:
        """End a call that hit a limit; it is answered all the same."""
        stopping = asyncio.create_task(self._cancel(number, answer, "limited"))
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)

    async def _cancel(
        self, number: int, answer: asyncio.Future[dict[str, Any]], ending: str = "cancelled"
    ) -> None:
        """End a call and wait until what it started is dead; if that fails, end the box."""
        try:
            self._channel.send({"id": number, "op": "cancel", "as": ending})
        except SandboxLost:
            return
        done, _ = await asyncio.wait((answer,), timeout=HOST_GRACE_SECONDS)
        if not done:
            await self._abandon("it did not end a cancelled call")

    async def _explained(self, lost: SandboxLost) -> SandboxLost:
        """The same with what the backend knows of it; asked once."""
        if self._channel.why != UNEXPECTED:
            return lost
        if self._cause is None:
            known = "" if self._guard is None else self._guard.cause()
            self._cause = known or await self._process.cause()
        return SandboxLost(f"The sandbox is gone: {self._cause}.", REMEDY) if self._cause else lost

    async def _abandon(self, why: str) -> None:
        self._channel.end(why)
        self._process.kill()
        await self._process.ended()


@functools.lru_cache(maxsize=16)
def _as_json(limits: ResourceLimits) -> dict[str, Any]:
    return asdict(limits)


async def start(
    launch: Callable[[int], subprocess.Popen[bytes]],
    settings: dict[str, Any],
    explain: Callable[[str], SandboxUnavailable],
    proxy: EgressProxy | None = None,
    admit: Callable[[int], None] | None = None,
) -> tuple[Process, Channel, dict[str, Any]]:
    """Launch a supervisor and wait until it serves.

    `launch` gets the descriptor of the supervisor's end. `explain` makes an error of what the
    process wrote to its standard error. `proxy` gets the box's way out, if it is to have one.
    `admit` is told the process before that is told its settings. Raises: SandboxUnavailable.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        process = Process(launch(theirs.fileno()))
    except OSError as problem:
        ours.close()
        raise explain(str(problem)) from problem
    finally:
        theirs.close()
    channel: Channel | None = None
    try:
        async with asyncio.timeout(START_SECONDS):
            if admit is not None:
                await asyncio.to_thread(admit, process.pid)
            await introduce(ours, settings, proxy)
            channel = await Channel.connect(ours)
            ready = await channel.ready
    except (SandboxLost, TimeoutError, OSError) as problem:
        await _discard(process, channel or ours)
        complaint = process.complaint()
        process.release()
        raise explain(complaint or str(problem)) from problem
    except BaseException:
        await _discard(process, channel or ours)
        process.release()
        raise
    return process, channel, ready


async def introduce(
    control: socket.socket, settings: dict[str, Any], proxy: EgressProxy | None
) -> None:
    """Tell a new supervisor its settings; take the way out that it hands over, if it is to.

    `control` is a connected unix socket, before there is a channel over it.
    Raises: SandboxLost, OSError.
    """
    control.setblocking(False)
    first = pack({**settings, "egress": proxy is not None})
    await asyncio.get_running_loop().sock_sendall(control, first)
    if proxy is not None:
        proxy.serve(await receive_listener(control))


async def _discard(process: Process, control: Channel | socket.socket) -> None:
    if isinstance(control, Channel):
        control.end("it did not start")
    else:
        control.close()
    process.kill()
    await process.ended()
