"""What happens in a run, in order. The recorded ones are the run's only state (see `runs`).

Each event is a frozen dataclass with a stable `kind`. Deltas (`TextDelta`, …) are streamed to
listeners and not recorded: the `ModelReplied` that follows holds the same text.
"""

from dataclasses import dataclass, field
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
    | Noted
    | Compacted
    | RunFinished
)
Event = Recorded | TextDelta | ReasoningDelta | CallDelta
