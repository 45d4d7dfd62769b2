"""The box of a run whose tools never use one: opening a real one would only cost."""

from typing import Any

from wardian_sandbox import (
    Confinement,
    ExecResult,
    FileChange,
    FileFailure,
    SandboxError,
    SandboxIdentity,
)


class UnusedSandbox:
    """Runs nothing. Covers runs whose tools are all functions of the embedding program."""

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

    async def diff(self) -> tuple[FileChange, ...]:
        return ()

    async def close(self) -> None:
        pass


def _unused() -> SandboxError:
    return SandboxError("None of this run's tools takes a ToolContext, so it has no sandbox.")
