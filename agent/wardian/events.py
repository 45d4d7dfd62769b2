"""What happens in a run, in order. The recorded ones are the run's only state (see `runs`).

Each event is a frozen dataclass with a stable `kind`. Deltas (`TextDelta`, …) are streamed to
listeners and not recorded: the `ModelReplied` that follows holds the same text.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from wardian.types import CallDelta, Message, ReasoningDelta, Reply, Stop, Task, TextDelta, Usage
from wardian_policies.types import Decision
from wardian_sandbox.types import EgressEvent
from wardian_tools.types import ToolCall, ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """First event: everything needed to read the rest."""

    kind: ClassVar[str] = "run_started"
    run_id: str
    task: Task
    system_prompt: str
    model: dict[str, Any]
    """name, is_local, and the model's identity"""
    tools: tuple[dict[str, Any], ...]
    """name, description, parameters, effects; sorted by name"""
    policy: dict[str, Any]
    """name, sha256 of the effective rules, budgets"""
    sandbox: dict[str, Any]
    """backend, and why that one where `auto` was asked for"""
    workspace: str
    wardian_version: str
    earlier: tuple[Message, ...] = ()
    """Conversation this run goes on from, without its system message"""
    tags: tuple[str, ...] = ()
    parent: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of a sub-agent: run_id, step, call_id of the call it does, its own name and depth"""
    group: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of one of several attempts: id and size of their group, its index, how one is chosen"""
    spent: dict[str, float] = field(default_factory=dict[str, float])
    """What counts against its budgets from before, when it goes on from another run"""
    flow: dict[str, Any] = field(default_factory=dict[str, Any])
    """Labels it begins with, each with its first source: of a sub-agent, its caller's"""
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    """What it takes to run it again, beside the rest: sampling, how the workspace is used, …"""
    fork: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of a fork: run_id and step it restarts from, the group of its siblings, its index in it"""
    prefix: tuple[Message, ...] = ()
    """Of a fork: the messages after the task that it goes on from"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAsked:
    """Intent, before the request is sent."""

    kind: ClassVar[str] = "model_asked"
    step: int
    """1 for the first request"""
    sampling: dict[str, Any]
    reserved: dict[str, float] = field(default_factory=dict[str, float])
    """tokens, cost_usd: what it may take of a budget; empty without one"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReplied:
    kind: ClassVar[str] = "model_replied"
    step: int
    reply: Reply
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDecided:
    """What the policy said of a call, and what a person said if it asked."""

    kind: ClassVar[str] = "call_decided"
    step: int
    call: ToolCall
    decision: Decision
    answer: str | None = None
    """Where the decision was Ask: `yes`, `session`, `always`, `no`, or `edit`"""
    edit: dict[str, Any] | None = None
    """What a person put in the place of the arguments; the call then decided again follows"""
    saved: str = ""
    """The rule that an `always` saved, and where"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOpened:
    """Before the first call that needs it; a run that calls nothing opens none."""

    kind: ClassVar[str] = "sandbox_opened"
    step: int
    sandbox: dict[str, Any]
    """`SandboxIdentity` as JSON"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted:
    """Intent, synced before the call has any effect."""

    kind: ClassVar[str] = "call_started"
    step: int
    call_id: str
    name: str
    repeatable: bool
    """read-only or idempotent: may be run again if its result is lost"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished:
    kind: ClassVar[str] = "call_finished"
    step: int
    result: ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressDecided:
    """What the sandbox's proxy let out, or refused to. While a step's calls run, among them."""

    kind: ClassVar[str] = "egress_decided"
    step: int
    egress: EgressEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildStarted:
    """A call has begun a run of its own: a sub-agent's."""

    kind: ClassVar[str] = "child_started"
    step: int
    call_id: str
    run_id: str
    name: str
    """The sub-agent's"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildFinished:
    """What that run came to; its own trajectory says the rest."""

    kind: ClassVar[str] = "child_finished"
    step: int
    call_id: str
    run_id: str
    stop: Stop
    consumed: dict[str, float]
    """steps, tool_calls, tokens, cost_usd, seconds; with those of its own sub-agents"""


class Moment(StrEnum):
    """When a workspace's state was looked at."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceSaved:
    """What the workspace was before or after the calls of a step that could change it."""

    kind: ClassVar[str] = "workspace_saved"
    step: int
    when: Moment
    state: int
    """Its number in the run's folder; the same one again when nothing changed"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """A run goes on that had stopped or been killed."""

    kind: ClassVar[str] = "run_resumed"
    step: int
    """The last that had a reply"""
    model: dict[str, Any]
    """As in `RunStarted`; it may be another one, or have changed"""
    policy: dict[str, Any]
    """name and sha256 of what is in force from here; never wider than at the start"""
    sandbox: dict[str, Any]
    changed: tuple[str, ...] = ()
    """Sentences for the user: what is not as the run left it"""
    told: str = ""
    """What the model is told, as a note after the results it still waits for"""


class Settlement(StrEnum):
    """What the user decided of a call of which nobody knows whether it took effect."""

    AGAIN = "again"
    """Run it once more."""
    FAILED = "failed"
    """Tell the model that its outcome is not known."""
    SUPPLIED = "supplied"
    """The user says what it gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettled:
    """How a call that was cut off goes on: as the user decided, or again if it is repeatable."""

    kind: ClassVar[str] = "call_settled"
    step: int
    call_id: str
    settlement: Settlement
    by_user: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesUndone:
    """The user took back what steps had done to files. After the run's end, like what follows."""

    kind: ClassVar[str] = "changes_undone"
    step: int
    """The last step taken back"""
    steps: tuple[int, ...]
    paths: tuple[str, ...]
    conflicts: tuple[str, ...] = ()
    """Left alone: changed since, or not kept"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked:
    """Other runs restarted from a step of this one."""

    kind: ClassVar[str] = "forked"
    step: int
    """The first that they did anew"""
    group: str
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One of several attempts at a task was chosen; each of them is told."""

    kind: ClassVar[str] = "compared"
    group: str
    by: str
    """How: `vote`, or `best of, by` the verifier's name"""
    winner: str
    """Its run id"""
    members: tuple[str, ...]
    """The run ids of all that were compared"""
    value: float
    """What this one was worth: its reward, or its answer's share of the votes"""
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """What the user thinks of a run, or of one step of it."""

    kind: ClassVar[str] = "rated"
    step: int
    """0 for the whole run"""
    good: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewarded:
    """What a verifier said of the run, or of one step of it; the last one of a source counts."""

    kind: ClassVar[str] = "rewarded"
    step: int
    """0 for the whole run"""
    value: float
    """0 is worthless and 1 is perfect; a penalty may be below 0"""
    source: str
    """The verifier's name"""
    version: str
    """Of the verifier and what it was given"""
    detail: dict[str, Any] = field(default_factory=dict[str, Any])
    suspicions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """Words to find a run by. After its end, like what follows; `RunStarted.tags` came before."""

    kind: ClassVar[str] = "tagged"
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A fact about a run: a name, and one value at a time."""

    kind: ClassVar[str] = "labelled"
    name: str
    value: str | None
    """None takes the label away"""
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something the runtime told the model in a user message (a cut reply, a schema not met)."""

    kind: ClassVar[str] = "noted"
    step: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """The conversation was shortened for the model's window; the events before it stay whole."""

    kind: ClassVar[str] = "compacted"
    step: int
    folded: int
    """Messages, the oldest but the system's and the task's, that gave way to `digest`"""
    digest: str
    """Now at the end of the task's message, in place of an earlier one"""
    clip_chars: int | None
    """Results longer than this were cut to it, but for the last reply's"""
    last_clip_chars: int | None
    """The same for the last reply's results"""
    context_tokens: int
    tokens_before: int
    """Estimated from what the model itself counted before; so is the next"""
    tokens_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """Last event of a run that ended by itself."""

    kind: ClassVar[str] = "run_finished"
    stop: Stop
    answer: str
    """Final text, or the last text there was"""
    steps: int
    tool_calls: int
    usage: Usage
    seconds: float
    error: str = ""
    changes: tuple[dict[str, Any], ...] = field(default=())
    """Workspace changes: path, kind"""
    spent: dict[str, float] = field(default_factory=dict[str, float])
    """steps, tool_calls, tokens, cost_usd, seconds: with its sub-agents and what it went on from"""


Recorded = (
    RunStarted
    | ModelAsked
    | ModelReplied
    | CallDecided
    | SandboxOpened
    | CallStarted
    | CallFinished
    | EgressDecided
    | ChildStarted
    | ChildFinished
    | WorkspaceSaved
    | RunResumed
    | CallSettled
    | Noted
    | Compacted
    | RunFinished
    | ChangesUndone
    | Forked
    | Rated
    | Rewarded
    | Compared
    | Tagged
    | Labelled
)
Event = Recorded | TextDelta | ReasoningDelta | CallDelta
