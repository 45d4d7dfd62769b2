"""The sandbox of a run, opened at the first call that needs one: many runs call nothing."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import wardian_sandbox
from wardian.events import Moment, Recorded, SandboxOpened
from wardian.runs.place import own_place
from wardian_sandbox.errors import SandboxError
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


class Keeper(Protocol):
    """See `wardian.keeping`."""

    async def look(
        self, step: int, when: Moment, sandbox: Sandbox | None
    ) -> Sequence[Recorded]: ...


class RunBox:
    """Opens a sandbox when one is needed, says so in the trajectory, and closes it."""

    def __init__(
        self,
        open_sandbox: Callable[[], Awaitable[Sandbox]],
        record: Callable[[Recorded], Awaitable[None]],
        *,
        keeping: tuple[Path, Path] | None = None,
        bring_back: bool = False,
    ) -> None:
        """`keeping`: the folder of the run, and the workspace whose states are kept there.
        `bring_back`: the box has a copy of what another one works on; take the changes there."""
        self._open = open_sandbox
        self._record = record
        self._keeps = keeping
        self._keeping: Keeper | None = None
        self._bring_back = bring_back
        self._sandbox: Sandbox | None = None
        self._may_write = False
        """Calls that may change the workspace go on."""

    async def opened_for(
        self, tools: Iterable[Tool], step: int, shown: Sequence[str] = ()
    ) -> Sandbox:
        """Where these tools' calls run, with paths that are `shown` although they are hidden. Not
        to be called twice at once.

        Raises: SandboxError, before any of the calls had an effect; StorageError.
        """
        tools = list(tools)
        if self._sandbox is None and any(tool.uses_sandbox for tool in tools):
            self._sandbox = await self._open()
            await self._record(SandboxOpened(step=step, sandbox=asdict(self._sandbox.identity)))
        if self._sandbox and shown:
            await self._sandbox.show(shown)
        self._may_write = any(tool.may_write for tool in tools)
        if self._may_write and self._keeps and not self._keeping:
            # Many runs change nothing, and do not wait for what keeps the states.
            from wardian.keeping import Keeping

            self._keeping = Keeping(*self._keeps)
        if self._may_write and self._keeping:
            for event in await self._keeping.look(step, Moment.BEFORE, self._sandbox):
                await self._record(event)
        is_used = any(tool.uses_sandbox for tool in tools)
        return self._sandbox if self._sandbox and is_used else Unused()

    async def left(self, step: int) -> Sequence[Recorded]:
        """The state that calls of the step left the workspace in, if they changed it.

        Raises: SandboxError, StorageError.
        """
        if not self._may_write or not self._keeping:
            return ()
        events = await self._keeping.look(step, Moment.AFTER, self._sandbox)
        self._may_write = False
        return events

    async def diff(self) -> tuple[FileChange, ...]:
        """What changed in the workspace since the sandbox was opened."""
        if not self._sandbox:
            return ()
        changes = await self._sandbox.diff()
        own = own_place(self._keeps[0].parent, self._keeps[1]) if self._keeps else ""
        return tuple(one for one in changes if not own or not one.path.startswith(own))

    async def close(self) -> None:
        if self._bring_back and isinstance(self._sandbox, wardian_sandbox.SupervisedSandbox):
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

    async def show(self, paths: Sequence[str]) -> None:
        pass

    async def job(self, job: Job, egress: Egress) -> JobResult:
        """Raises: SandboxError."""
        raise _unused()

    async def diff(self) -> tuple[FileChange, ...]:
        return ()

    async def close(self) -> None:
        pass


def _unused() -> SandboxError:
    return SandboxError("None of this reply's tools takes a ToolContext, so it has no sandbox.")
