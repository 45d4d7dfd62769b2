"""The sandbox's vocabulary: what a call may touch, what came of it, and the protocol of a box."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """What a box and each of its calls may consume.

    A call's own are `wall_seconds`, `cpu_seconds` and `output_bytes`; for a command also
    `file_bytes`, `memory_bytes` as the address space of each of its processes, and with bubblewrap
    `processes`. All else is the box's, fixed when it is opened, and without effect in a call's.
    """

    wall_seconds: float = 60.0
    """Host clock, for one call; then everything the call started is killed."""
    cpu_seconds: int = 1800
    """Processor time of one call, all its processes together, and of each (RLIMIT_CPU)."""
    memory_bytes: int = 2 << 30
    """Of the box, with its private files; and address space of each process (RLIMIT_AS), the only
    part that one call can lower."""
    processes: int = 256
    """Processes and threads in the sandbox."""
    file_bytes: int = 1 << 30
    """Largest file a process may write (RLIMIT_FSIZE)."""
    scratch_bytes: int = 256 << 20
    """Size of each private tmpfs (/tmp, home, /dev/shm)."""
    workspace_bytes: int = 8 << 30
    """What the box may add to its workspace; at most nine tenths of what is free there."""
    workspace_files: int = 500_000
    """How many files it may add or change there."""
    output_bytes: int = 64 << 10
    """Output kept of one call; the middle of the rest is dropped and said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressLimits:
    """What one box may send and fetch through its proxy, in all its calls together."""

    connections: int = 64
    """At a time; more wait for their turn."""
    total_connections: int = 10_000
    """After these every request is refused."""
    sent_bytes: int = 1 << 30
    received_bytes: int = 16 << 30
    idle_seconds: float = 120.0
    """A connection on which nothing moves for so long is closed."""
    request_seconds: float = 10.0
    """For a client to say what it wants, and again for its TLS greeting."""
    connect_seconds: float = 15.0
    """For looking up a name, and again for connecting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """What a box may reach, through a filtering proxy on the host. Nothing by default."""

    hosts: tuple[str, ...] = ()
    """`example.org`, `*.example.org` (those below it), an address, each with `:port` if it is not
    443 or 80. An address is dialled for a name too, even if it is private, where it is listed."""
    refused: tuple[str, ...] = ()
    """Of those hosts and addresses which code does not reach after all, on any port."""
    private: bool = False
    """Names may lead to private networks. Loopback, link-local and metadata addresses stay
    refused unless they are listed."""
    any_web: bool = False
    """Web tools fetch from public hosts that are not listed, too; code in the box never does."""
    ignore_robots: bool = False
    """Web tools fetch what a site's robots.txt asks programs not to fetch, too."""
    limits: EgressLimits = field(default_factory=EgressLimits)


class EgressOutcome(StrEnum):
    """What became of a request to leave the box."""

    ALLOWED = "allowed"
    """Connected to `address`; `closed` follows."""
    DENIED = "denied"
    """Against the rules, or not what the proxy takes for a request."""
    FAILED = "failed"
    """Allowed, but the host was not found or did not answer."""
    CLOSED = "closed"
    """An allowed connection ended; the bytes say how much went over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressEvent:
    """One decision of the proxy. Host and port are what the guest asked for: its claim."""

    connection: int
    """Counts from 1 in each box; the events of one connection share it."""
    outcome: EgressOutcome
    host: str
    """As normalised; empty where none could be read."""
    port: int
    address: str = ""
    """The one dialled."""
    code: str = ""
    """malformed, version, not_listed, refused, address, unresolved, unreachable, tls, idle, …"""
    reason: str = ""
    """One sentence, also told to the guest."""
    sent_bytes: int = 0
    received_bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """The right to run something, and its bounds. Only an `Allow` of the policy carries one."""

    readable: tuple[str, ...] = ("**",)
    """Workspace-relative globs that file tools may read."""
    writable: tuple[str, ...] = ("**",)
    """Workspace-relative globs that file tools may write; empty mounts the workspace read-only."""
    protected: tuple[str, ...] = ()
    """Workspace-relative globs that may not be written, whatever `writable` says."""
    hidden: tuple[str, ...] = ()
    """Workspace-relative globs of what nothing in a box sees that is opened with them, code
    neither; for good where it is mounted, see `Sandbox.show`. Without effect in a call's."""
    egress: Egress = field(default_factory=Egress)
    """What can be reached from inside; without hosts, no network at all."""
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
    LIMITED = "limited"
    """Another limit than time ended it; `limits_hit` says which."""


class Limit(StrEnum):
    """What a call can run into. Named in a result only where the host or the supervisor saw it."""

    WALL = "wall"
    CPU = "cpu"
    MEMORY = "memory"
    PROCESSES = "processes"
    FILE = "file"
    WORKSPACE = "workspace"
    OUTPUT = "output"
    """So much that the call was ended; what is only too long to keep is in `dropped_bytes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReference:
    """A file by what it is, without its bytes."""

    path: str
    """relative to the workspace; for a figure its name"""
    size_bytes: int
    mime: str
    """By its first bytes, else by its name"""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A file that came out of a box. Its bytes are the guest's: parse them with care."""

    reference: FileReference
    content: bytes = field(repr=False)


CLAIM = "A claim of the guest"
"""Marks fields that code in the box can forge: `Annotated[…, CLAIM]`. All others are facts, seen by
the host or by the box's supervisor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """What came of Python code or a shell command."""

    ending: Ending
    exit_code: int
    """0 for success. For Python code: 1 when it raised; then a claim, as `exit_code_claimed`."""
    exit_code_claimed: bool = False
    """Python only: the cell ran to its end, and its interpreter says with what exit code."""
    output: str
    """stdout and stderr in the order written, UTF-8 with replacement, at most `output_bytes`."""
    dropped_bytes: int = 0
    """Output beyond the limit, not kept."""
    value: Annotated[str | None, CLAIM] = None
    """Python only: the last expression unless None, by `repr` or as a table."""
    data: Annotated[Any, CLAIM] = None
    """Python only: `value` as JSON; None where it has no such form or is too large. Of a data frame
    `columns`, `index`, `rows` (the first 50) and `row_count`."""
    error: Annotated[str | None, CLAIM] = None
    """Python only: the traceback, without our frames."""
    figures: Annotated[tuple[Artefact, ...], CLAIM] = ()
    """Python only: what the cell drew with matplotlib, as PNG."""
    left_running: int = 0
    """Python only: processes that the cell left running, which were ended with it."""
    state_lost: bool = False
    """Python only: the interpreter was restarted, so earlier variables are gone."""
    limits_hit: tuple[Limit, ...] = ()
    """Limits it ran into, whether they ended it or it went on. A fact."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFailure:
    """A file operation that could not be done: `code` is stable, `message` is for people."""

    code: str
    """missing, denied, is_directory, not_directory, binary, too_large, no_match, many_matches,
    outside, protected, hidden, not_text, full, invalid, failed"""
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
    """bubblewrap, docker, gvisor, none"""
    enforced: tuple[str, ...]
    """e.g. user-namespace, no-network, seccomp, read-only-system, rlimits"""
    limits: dict[str, str] = field(default_factory=dict[str, str])
    """Limit → what keeps it: e.g. memory → cgroup v2, or rlimit and host watcher."""
    detail: dict[str, Any] = field(default_factory=dict[str, Any])
    """Versions, uid, workspace mode; JSON values only."""
    notice: str = ""
    """What whoever uses it should be told first; empty where nothing is out of the ordinary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work of our own on what others wrote, for a process of its own: no workspace, no file of the
    user's, and nothing to reach but listed hosts."""

    function: str
    """`package.module:function`; called there with the way out and `arguments`, gives JSON."""
    arguments: dict[str, Any]
    seconds: float
    """Wall-clock time; then it is ended."""
    modules: tuple[str, ...] = ()
    """Imported before the first job, once for all of them."""
    folders: tuple[str, ...] = ()
    """Where the function's package is, if that is not installed."""


class JobFailure(StrEnum):
    """Why a job gave nothing."""

    SLOW = "slow"
    MEMORY = "memory"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What came of a job."""

    value: Annotated[Any, CLAIM] = None
    failure: JobFailure | None = None
    detail: Annotated[str, CLAIM] = ""
    """Of a failure."""
    refused: tuple[EgressEvent, ...] = ()
    """What the proxy refused, or could not reach, while it ran. A fact."""


class Sandbox(Protocol):
    """One open box around one workspace. Calls on it may overlap, except `python`, which queues.

    A call that is cancelled kills what it started before the cancellation is passed on.
    """

    @property
    def identity(self) -> SandboxIdentity: ...

    async def python(self, code: str, within: Confinement) -> ExecResult:
        """Run `code` in the box's persistent interpreter.

        Of `within.limits` time and output are the call's own; see `ResourceLimits`.
        Raises: SandboxLost when the box itself is gone.
        """
        ...

    async def shell(self, command: str, within: Confinement) -> ExecResult:
        """Run `command` with `bash -c` (or sh) in the workspace, in its own process group.

        Of `within.limits` those of single processes, time and output are the call's own; see
        `ResourceLimits`. Raises: SandboxLost when the box itself is gone.
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

    async def show(self, paths: Sequence[str]) -> None:
        """Show these paths of the workspace, and what lies below them, although they are hidden.

        Raises: SandboxError where the box was opened so that it cannot.
        """
        ...

    async def job(self, job: Job, egress: Egress) -> JobResult:
        """Do a job in a limited process beside the box, which ends with it.

        Raises: SandboxUnavailable when this machine cannot confine one.
        """
        ...

    async def diff(self) -> tuple[FileChange, ...]:
        """What changed in the workspace since the box was opened."""
        ...

    async def close(self) -> None:
        """Kill everything inside and leave nothing behind. May be called twice."""
        ...
