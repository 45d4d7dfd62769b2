"""A box with our supervisor inside: the calls, the same for every backend."""

import asyncio
import functools
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, TypeVar

from wardian_sandbox import transfer
from wardian_sandbox.channel import REMEDY, UNEXPECTED, Channel
from wardian_sandbox.checkpoints import Checkpoint, Checkpoints
from wardian_sandbox.egress.proxy import EgressProxy
from wardian_sandbox.errors import SandboxError, SandboxLost
from wardian_sandbox.guard import Guard, Watched
from wardian_sandbox.inner.frames import BadFrame
from wardian_sandbox.installing import install_packages
from wardian_sandbox.process import BoxProcess
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

HOST_GRACE_SECONDS = 5.0
"""How much longer than the supervisor the host waits before it ends the whole box."""
WRITING_OPERATIONS = ("write", "edit", "put")
EVERYTHING = {"readable": ["**"], "writable": ["**"], "protected": list[str]()}
T = TypeVar("T")
Reopen = Callable[[Path, str], Awaitable["SupervisedSandbox"]]
"""workspace and mode → a box"""


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
        self.within = Confinement()
        """What a call may do that is given no confinement."""
        self.reopen: Reopen | None = None
        """Opens another box as this one was opened; None where nobody said how."""
        self._checkpoints: Checkpoints | None = None
        self._saved: tempfile.TemporaryDirectory[str] | None = None
        # Whatever it said that ended the channel, it is not to run on.
        channel.lost.add_done_callback(
            lambda _: process.kill() if channel.why != UNEXPECTED else None
        )
        self._cause: str | None = None

    @property
    def identity(self) -> SandboxIdentity:
        return self._identity

    @property
    def workspace_path(self) -> str:
        """Where code in the box finds the workspace."""
        return self._shown_as

    async def python(self, code: str, within: Confinement | None = None) -> ExecResult:
        """Run `code` in the persistent interpreter. Raises: SandboxLost."""
        async with self._python_turn:
            return await self._run("python", within, code=code)

    async def shell(self, command: str, within: Confinement | None = None) -> ExecResult:
        """Run `command` with bash in the workspace; whatever it leaves running is killed.

        Raises: SandboxLost.
        """
        return await self._run("shell", within, command=command)

    async def file(
        self, operation: str, arguments: dict[str, Any], within: Confinement | None = None
    ) -> dict[str, Any] | FileFailure:
        """Do one file operation inside the box; see `wardian_sandbox.files`.

        Raises: SandboxLost.
        """
        within = within or self.within
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

    async def install(
        self,
        requirements: Sequence[str],
        within: Confinement | None = None,
        *,
        wheels: Path | None = None,
    ) -> ExecResult:
        """Install Python packages for this box alone, from a folder of the host with wheels or,
        where the policy allows hosts, from an index.

        Raises: SandboxLost; SandboxError when this box cannot.
        """
        if not self._identity.enforced:
            raise SandboxError("Without a sandbox nothing is installed.", "Use pip yourself.")
        within = within or self.within
        if wheels is None and not within.egress.hosts:
            raise SandboxError(
                "The sandbox has no network to install from.",
                "Allow the hosts of an index in the policy, or name a folder with wheels.",
            )

        async def at_home(name: str, arguments: dict[str, Any]) -> dict[str, Any] | FileFailure:
            answer = await self._call(
                "file",
                within,
                writes=False,
                file_operation=name,
                arguments=arguments,
                within=EVERYTHING,
                at_home=True,
            )
            return self._understood(file_result, answer)

        async def shell(command: str) -> ExecResult:
            return await self.shell(command, within)

        return await self._transferred(install_packages(requirements, wheels, at_home, shell))

    async def refer(
        self, path: str, within: Confinement | None = None
    ) -> FileReference | FileFailure:
        """What a file in the workspace is: size, kind, digest. Raises: SandboxLost."""
        return await self._transferred(transfer.refer(self._operation(within), path))

    async def get(
        self,
        path: str,
        within: Confinement | None = None,
        *,
        max_bytes: int = transfer.MAX_BYTES,
    ) -> Artefact | FileFailure:
        """A file of the workspace with its bytes. Raises: SandboxLost."""
        return await self._transferred(transfer.get(self._operation(within), path, max_bytes))

    async def put(
        self, path: str, content: bytes | Path, within: Confinement | None = None
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

    async def fresh(
        self, workspace: Path | None = None, *, mode: str = "copy"
    ) -> "SupervisedSandbox":
        """Another box like this one, around this one's workspace as it is now unless one is named.

        It shares no process, memory, scratch folder or channel with this one, so nothing that ran
        here can have a hand in it: what grades a run runs there.
        Raises: SandboxError.
        """
        if self.reopen is None:
            raise SandboxError("It is not known how this sandbox was opened.", "Use open_sandbox.")
        return await self.reopen(workspace or self._workspace.truth, mode)

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

    async def checkpoint(self) -> Checkpoint:
        """The workspace as it is now, kept until the box is closed. Raises: SandboxError."""
        return await asyncio.to_thread(
            self._states().save, self._workspace.truth, self._workspace.mounts
        )

    async def restore(self, checkpoint: Checkpoint) -> tuple[FileChange, ...]:
        """Make the workspace what it was, and the interpreter fresh; gives what that changed.

        Raises: SandboxError.
        """
        await self.reset()
        return await asyncio.to_thread(
            self._states().restore, checkpoint, self._workspace.truth, self._workspace.mounts
        )

    async def fork(self, checkpoint: Checkpoint, folder: Path) -> None:
        """A new folder as the workspace was then, to open another box around.

        Raises: SandboxError, FileExistsError.
        """
        await asyncio.to_thread(self._states().fork, checkpoint, folder)

    def _states(self) -> Checkpoints:
        if self._checkpoints is None:
            self._saved = tempfile.TemporaryDirectory(prefix="wardian-states-")
            self._checkpoints = Checkpoints(Path(self._saved.name))
        return self._checkpoints

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
        if self._saved is not None:
            await asyncio.to_thread(self._saved.cleanup)

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

    def _operation(self, within: Confinement | None) -> transfer.Operation:
        async def do(name: str, arguments: dict[str, Any]) -> dict[str, Any] | FileFailure:
            return await self.file(name, arguments, within)

        return do

    async def _run(self, operation: str, within: Confinement | None, **details: Any) -> ExecResult:
        """Run code, with the host's guard watching. Raises: SandboxLost."""
        within = within or self.within
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
