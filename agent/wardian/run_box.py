"""The sandbox of a run, opened at the first call that needs one: many runs call nothing."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import Any

from wardian.events import Recorded, SandboxOpened
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import (
    Confinement,
    Egress,
    ExecResult,
    FileChange,
    FileFailure,
    Job,
    JobResult,
    Sandbox,
    SandboxIdentity,
)
from wardian_tools.types import Tool


class RunBox:
    """Opens a sandbox when one is needed, says so in the trajectory, and closes it."""

    def __init__(
        self,
        open_sandbox: Callable[[], Awaitable[Sandbox]],
        record: Callable[[Recorded], Awaitable[None]],
        *,
        bring_back: bool = False,
    ) -> None:
        """`bring_back`: the box has a copy of what another one works on; take the changes there."""
        self._open = open_sandbox
        self._record = record
        self._bring_back = bring_back
        self._sandbox: Sandbox | None = None

    async def opened_for(self, tools: Iterable[Tool], step: int) -> Sandbox:
        """Where these tools' calls run. Not to be called twice at once.

        Raises: SandboxError, before any of the calls had an effect; StorageError.
        """
        if not any(tool.uses_sandbox for tool in tools):
            return Unused()
        if self._sandbox is None:
            self._sandbox = await self._open()
            await self._record(SandboxOpened(step=step, sandbox=asdict(self._sandbox.identity)))
        return self._sandbox

    async def diff(self) -> tuple[FileChange, ...]:
        """What changed in the workspace since the sandbox was opened."""
        return await self._sandbox.diff() if self._sandbox else ()

    async def close(self) -> None:
        if isinstance(self._sandbox, SupervisedSandbox) and self._bring_back:
            await self._sandbox.apply()
        if self._sandbox:
            await self._sandbox.close()


class Unused:
    """What calls get whose functions never look at it. Runs nothing."""

    @property
    def identity(self) -> SandboxIdentity:
        return SandboxIdentity(backend="unused", enforced=())

    async def python(self, code: str, within: Confinement) -> ExecResult:
        """Raises: SandboxError."""
        raise _unused()

    async def shell(self, command: str, within: Confinement) -> ExecResult:
        """Raises: SandboxError."""
        raise _unused()

    async def file(
        self, operation: str, arguments: dict[str, Any], within: Confinement
    ) -> dict[str, Any] | FileFailure:
        """Raises: SandboxError."""
        raise _unused()

    async def job(self, job: Job, egress: Egress) -> JobResult:
        """Raises: SandboxError."""
        raise _unused()

    async def diff(self) -> tuple[FileChange, ...]:
        return ()

    async def close(self) -> None:
        pass


def _unused() -> SandboxError:
    return SandboxError("None of this reply's tools takes a ToolContext, so it has no sandbox.")
