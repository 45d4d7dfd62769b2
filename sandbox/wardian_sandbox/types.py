"""The sandbox's vocabulary: what a call may touch, what came of it, and the protocol of a box."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """What one call may consume. A value of the run's sandbox is fixed when it is opened."""

    wall_seconds: float = 60.0
    """Host clock, for one call; then everything the call started is killed."""
    cpu_seconds: int = 300
    """Processor time of one process (RLIMIT_CPU)."""
    memory_bytes: int = 2 << 30
    """Address space of one process (RLIMIT_AS)."""
    processes: int = 256
    """Processes and threads in the sandbox (RLIMIT_NPROC inside the user namespace)."""
    file_bytes: int = 1 << 30
    """Largest file a process may write (RLIMIT_FSIZE)."""
    scratch_bytes: int = 256 << 20
    """Size of each private tmpfs (/tmp, home, /dev/shm)."""
    output_bytes: int = 64 << 10
    """Output kept of one call; the middle of the rest is dropped and said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """The right to run something, and its bounds. Only an `Allow` of the policy carries one."""

    readable: tuple[str, ...] = ("**",)
    """Workspace-relative globs that file tools may read."""
    writable: tuple[str, ...] = ("**",)
    """Workspace-relative globs that file tools may write; empty mounts the workspace read-only."""
    protected: tuple[str, ...] = ()
    """Workspace-relative globs that may not be written, whatever `writable` says."""
    hosts: tuple[str, ...] = ()
    """Host names reachable from inside; empty is no network at all."""
    limits: ResourceLimits = field(default_factory=ResourceLimits)


class Ending(StrEnum):
    """How an execution ended. A fact: it comes from the supervisor or the host, not the guest."""

    EXITED = "exited"
    """It ended by itself; `exit_code` says how."""
    SIGNALLED = "signalled"
    """A signal ended it; `exit_code` is 128 + signal."""
    TIMED_OUT = "timed_out"
    """The wall-clock limit ended it."""
    CANCELLED = "cancelled"
    """The caller ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """What came of Python code or a shell command."""

    ending: Ending
    exit_code: int
    """0 for success. For Python code: 1 when it raised."""
    output: str
    """stdout and stderr in the order written, UTF-8 with replacement, at most `output_bytes`."""
    dropped_bytes: int = 0
    """Output beyond the limit, not kept."""
    value: str | None = None
    """Python only: `repr` of the last expression unless None. A claim of the guest."""
    error: str | None = None
    """Python only: the traceback, without our frames. A claim of the guest."""
    state_lost: bool = False
    """Python only: the interpreter was restarted, so earlier variables are gone."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFailure:
    """A file operation that could not be done: `code` is stable, `message` is for people."""

    code: str
    """missing, denied, is_directory, not_directory, binary, too_large, no_match, many_matches,
    outside, protected, not_text, full, invalid, failed"""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One path that differs between the workspace as opened and as it is now."""

    path: str
    kind: str
    """added, modified, deleted"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxIdentity:
    """What confines this run, for the trajectory."""

    backend: str
    """bubblewrap, docker, none"""
    enforced: tuple[str, ...]
    """e.g. user-namespace, no-network, seccomp, read-only-system, rlimits"""
    detail: dict[str, Any] = field(default_factory=dict[str, Any])
    """Versions, uid, workspace mode; JSON values only."""


class Sandbox(Protocol):
    """One open box around one workspace. Calls on it may overlap, except `python`, which queues.

    A call that is cancelled kills what it started before the cancellation is passed on.
    """

    @property
    def identity(self) -> SandboxIdentity: ...

    async def python(self, code: str, within: Confinement) -> ExecResult:
        """Run `code` in the box's persistent interpreter.

        Raises: SandboxLost when the box itself is gone.
        """
        ...

    async def shell(self, command: str, within: Confinement) -> ExecResult:
        """Run `command` with `bash -c` (or sh) in the workspace, in its own process group.

        Raises: SandboxLost when the box itself is gone.
        """
        ...

    async def file(
        self, operation: str, arguments: dict[str, Any], within: Confinement
    ) -> dict[str, Any] | FileFailure:
        """Do one file operation *inside* the box: read, write, edit, list, search, stat.

        Arguments and results per operation are listed in `wardian_sandbox.files`.
        Raises: SandboxLost when the box itself is gone.
        """
        ...

    async def diff(self) -> tuple[FileChange, ...]:
        """What changed in the workspace since the box was opened."""
        ...

    async def close(self) -> None:
        """Kill everything inside and leave nothing behind. May be called twice."""
        ...
