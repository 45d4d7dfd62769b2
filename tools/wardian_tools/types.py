"""The tools' vocabulary: a tool, a call as the model emitted it, and what came back."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from wardian_sandbox.types import Confinement, Sandbox


class Effect(StrEnum):
    """What a tool may do; declared by its author, used by the policy."""

    READS = "reads"
    """reads the workspace"""
    WRITES = "writes"
    """changes the workspace"""
    EXECUTES = "executes"
    """runs code"""
    EGRESS = "egress"
    """sends data off the machine"""
    CONFIGURES = "configures"
    """changes what later calls or runs may do: policy, model, tools, memory"""


class Integrity(StrEnum):
    """Can the text be believed to be free of somebody else's instructions?"""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"


class Confidentiality(StrEnum):
    """May the text leave the machine?"""

    PUBLIC = "public"
    PRIVATE = "private"
    """not together with text of others; see the policy's `[flow]`"""
    LOCAL = "local"
    """private, and named so by the policy: only a model on this machine may read it"""


class ResultStatus(StrEnum):
    """What became of a call."""

    OK = "ok"
    ERROR = "error"
    """it ran and failed; the content says why"""
    MALFORMED = "malformed"
    """it never ran: the arguments were not what the schema asks for"""
    DENIED = "denied"
    """the policy, or the person asked, said no"""
    CANCELLED = "cancelled"
    """the run was stopped before it ended"""
    DISCARDED = "discarded"
    """it never ran: the batch it came in was cut off, or was too large"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call, as emitted and as understood.

    Exactly one of `arguments` and `problem` is set once the call went through
    `Registry.parse`; a call fresh from the model has neither.
    """

    id: str
    name: str
    arguments_text: str
    """As the model wrote it, at most `calls.MAX_ARGUMENT_CHARS` characters are ever parsed."""
    arguments: dict[str, Any] | None = None
    """Validated and normalised, defaults filled in."""
    problem: str | None = None
    """Why the call cannot run, bounded, written for the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a call gave, as the model will see it."""

    call_id: str
    name: str
    status: ResultStatus
    content: str
    integrity: Integrity = Integrity.UNTRUSTED
    confidentiality: Confidentiality = Confidentiality.PRIVATE
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    """Facts for programs (exit code, diff, bytes written); JSON values only."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a tool wants to know of the person."""

    text: str
    choices: tuple[str, ...] = ()
    """Answers offered; another one may be given."""
    by: str = ""
    """The sub-agent that asks; empty is the run itself."""


AskUser = Callable[[Question], Awaitable[str | None]]
"""The person's answer; None for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """What a running tool may use. A parameter of this type is filled in by the runtime."""

    sandbox: Sandbox
    within: Confinement
    call_id: str
    ask: AskUser | None = None
    """None where nobody can be asked."""
    idempotency_key: str = ""
    """The same whenever this call is run again after an interruption, and of no other call: for
    services that take such a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a tool function may return instead of plain text or a JSON value."""

    content: str
    status: ResultStatus = ResultStatus.OK
    integrity: Integrity = Integrity.UNTRUSTED
    confidentiality: Confidentiality = Confidentiality.PRIVATE
    data: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A typed function a model can call. Made by `@tool`."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON schema of the arguments object, in the order of the function's parameters."""
    effects: frozenset[Effect]
    idempotent: bool
    validate: Callable[[Any], dict[str, Any]]
    """Parsed JSON → arguments. Raises pydantic.ValidationError."""
    function: Callable[..., Awaitable[Output]]
    """Called as `function(context, **arguments)`."""
    uses_sandbox: bool = True
    """False for a function that never looks at its context; a run of such tools opens no box."""
    parallel: bool = False
    """Its calls run side by side with others of one reply, although they do more than read."""

    @property
    def read_only(self) -> bool:
        return self.effects <= {Effect.READS}

    @property
    def may_write(self) -> bool:
        """Can the workspace be another one after a call?"""
        return not self.effects.isdisjoint({Effect.WRITES, Effect.EXECUTES})


class ToolSource(Protocol):
    """Tools, and what stands behind them for as long as they are used."""

    @property
    def tools(self) -> tuple[Tool, ...]: ...

    async def close(self) -> None: ...
