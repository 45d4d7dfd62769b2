"""A box with our supervisor inside: the calls, the same for every backend."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from wardian_sandbox import transfer
from wardian_sandbox.calling import Calls
from wardian_sandbox.channel import Channel
from wardian_sandbox.checkpoints import Checkpoint, Checkpoints
from wardian_sandbox.egress.proxy import EgressProxy
from wardian_sandbox.errors import SandboxError, SandboxUnavailable
from wardian_sandbox.guard import Guard
from wardian_sandbox.installing import install_packages
from wardian_sandbox.process import BoxProcess
from wardian_sandbox.protecting import Mount
from wardian_sandbox.results import file_result
from wardian_sandbox.types import (
    Artefact,
    Confinement,
    Egress,
    ExecResult,
    FileChange,
    FileFailure,
    FileReference,
    Job,
    JobResult,
    SandboxIdentity,
)
from wardian_sandbox.workspace import Workspace

WRITING_OPERATIONS = ("write", "edit", "put")
EVERYTHING = {
    "readable": ["**"],
    "writable": ["**"],
    "protected": list[str](),
    "hidden": list[str](),
}
Reopen = Callable[[Path, str, Confinement | None], Awaitable["SupervisedSandbox"]]
"""workspace, mode, and a confinement other than this box's → a box"""


class Jobs(Protocol):
    """Limited processes beside a box; see `wardian_sandbox.jobs`."""

    async def run(self, job: Job, egress: Egress) -> JobResult: ...

    async def close(self) -> None: ...


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
        self._calls = Calls(process, channel, workspace, guard)
        self._python_turn = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        self.within = Confinement()
        """What a call may do that is given no confinement."""
        self.reopen: Reopen | None = None
        """Opens another box as this one was opened; None where nobody said how."""
        self.jobs: Jobs | None = None
        """Does jobs beside this box; None where nobody said how."""
        self._checkpoints: Checkpoints | None = None
        self._saved: tempfile.TemporaryDirectory[str] | None = None

    @property
    def identity(self) -> SandboxIdentity:
        return self._identity

    @property
    def workspace_path(self) -> str:
        """Where code in the box finds the workspace."""
        return self._shown_as

    async def python(self, code: str, within: Confinement | None = None) -> ExecResult:
        """Run `code` in the persistent interpreter. Raises: SandboxLost.

        Of the limits of `within` time and output are the call's own; memory, processes, files and
        workspace stay as the box was opened with (`ResourceLimits`).
        """
        async with self._python_turn:
            return await self._calls.run("python", within or self.within, code=code)

    async def shell(self, command: str, within: Confinement | None = None) -> ExecResult:
        """Run `command` with bash in the workspace; whatever it leaves running is killed.

        Of the limits of `within` those of a single process, time and output are the call's own; all
        else stays as the box was opened with (`ResourceLimits`).

        Raises: SandboxLost.
        """
        return await self._calls.run("shell", within or self.within, command=command)

    async def file(
        self, operation: str, arguments: dict[str, Any], within: Confinement | None = None
    ) -> dict[str, Any] | FileFailure:
        """Do one file operation inside the box; see `wardian_sandbox.files`.

        Raises: SandboxLost.
        """
        within = within or self.within
        answer = await self._calls.call(
            "file",
            within,
            writes=operation in WRITING_OPERATIONS,
            file_operation=operation,
            arguments=arguments,
            within={
                "readable": list(within.readable),
                "writable": list(within.writable),
                "protected": list(within.protected),
                "hidden": list(self._workspace.hidden),
            },
        )
        return self._calls.understood(file_result, answer)

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

        async def shell(command: str) -> ExecResult:
            return await self.shell(command, within)

        at_home = self._home_operation(within)
        return await self._calls.transferred(install_packages(requirements, wheels, at_home, shell))

    async def put_at_home(self, path: str, content: bytes) -> FileReference | FileFailure:
        """Put a file into the box's private home, which goes with it.

        Raises: SandboxLost; SandboxError without a sandbox, where home is the user's own.
        """
        if not self._identity.enforced:
            raise SandboxError("Without a sandbox there is no private home.", "Use a sandbox.")
        do = self._home_operation(self.within)
        return await self._calls.transferred(transfer.put(do, path, content))

    async def refer(
        self, path: str, within: Confinement | None = None
    ) -> FileReference | FileFailure:
        """What a file in the workspace is: size, kind, digest. Raises: SandboxLost."""
        return await self._calls.transferred(transfer.refer(self._operation(within), path))

    async def get(
        self,
        path: str,
        within: Confinement | None = None,
        *,
        max_bytes: int = transfer.MAX_BYTES,
    ) -> Artefact | FileFailure:
        """A file of the workspace with its bytes. Raises: SandboxLost."""
        return await self._calls.transferred(transfer.get(self._operation(within), path, max_bytes))

    async def put(
        self, path: str, content: bytes | Path, within: Confinement | None = None
    ) -> FileReference | FileFailure:
        """Put a file of the host, or bytes, into the workspace.

        Raises: SandboxLost, OSError when the host's file cannot be read.
        """
        return await self._calls.transferred(transfer.put(self._operation(within), path, content))

    async def reset(self) -> None:
        """End everything that runs in the box, and start a fresh interpreter. Files stay.

        Raises: SandboxLost.
        """
        await self._calls.reset()

    async def fresh(
        self,
        workspace: Path | None = None,
        *,
        mode: str = "copy",
        within: Confinement | None = None,
    ) -> "SupervisedSandbox":
        """Another box like this one, around this one's workspace as it is now unless one is named.

        It shares no process, memory, scratch folder or channel with this one, so nothing that ran
        here can have a hand in it: what grades a run runs there. `within` confines it otherwise.
        Raises: SandboxError.
        """
        if self.reopen is None:
            raise SandboxError("It is not known how this sandbox was opened.", "Use open_sandbox.")
        return await self.reopen(workspace or self._workspace.truth, mode, within)

    async def show(self, paths: Sequence[str]) -> None:
        """Show these paths of the workspace, and what lies below them, although they are hidden.

        Raises: SandboxError where the box was opened so that it cannot.
        """
        await self._workspace.show(paths)

    async def job(self, job: Job, egress: Egress) -> JobResult:
        """Do a job in a limited process beside the box. Raises: SandboxUnavailable."""
        if self.jobs is None:
            raise SandboxUnavailable(
                "It is not known how this sandbox was opened.", "Use open_sandbox."
            )
        return await self.jobs.run(job, egress)

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

    @property
    def truth(self) -> tuple[Path, tuple[Mount, ...]]:
        """The host's folder that has the workspace's state once a call is over, and what of it is
        mounted on its own place."""
        return self._workspace.truth, self._workspace.mounts

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
        if self.jobs is not None:
            await self.jobs.close()
        await self._calls.abandon("it was closed")
        self._process.release()
        if self._guard is not None:
            await self._guard.close()
        if self._proxy is not None:
            await self._proxy.close()
        try:
            await self._workspace.close()
        finally:
            if self._saved is not None:
                await asyncio.to_thread(self._saved.cleanup)

    def _home_operation(self, within: Confinement) -> transfer.Operation:
        async def do(name: str, arguments: dict[str, Any]) -> dict[str, Any] | FileFailure:
            answer = await self._calls.call(
                "file",
                within,
                writes=False,
                file_operation=name,
                arguments=arguments,
                within=EVERYTHING,
                at_home=True,
            )
            return self._calls.understood(file_result, answer)

        return do

    def _operation(self, within: Confinement | None) -> transfer.Operation:
        async def do(name: str, arguments: dict[str, Any]) -> dict[str, Any] | FileFailure:
            return await self.file(name, arguments, within)

        return do
