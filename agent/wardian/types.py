"""The agent's vocabulary: what is asked, what a model answers, and why a run stops."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from wardian_tools.types import Confidentiality, Integrity, ToolCall


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class ImageData(str):
    """Base64. Not a text: nothing is searched or replaced in it."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: Callable[[object], Any]
    ) -> dict[str, Any]:
        """Source: pydantic, "Custom types"."""
        inner = handler(str)
        return {
            "type": "function-after",
            "function": {"type": "no-info", "function": cls},
            "schema": inner,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture in a message; `wardian.images.read_image` makes one of a file."""

    mime: str
    data: ImageData = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of the conversation. Never changed once made, so it is encoded once."""

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    """Assistant only."""
    reasoning: str = ""
    """Assistant only; kept apart from the answer."""
    call_id: str = ""
    """Tool only: the call this answers."""
    name: str = ""
    """Tool only: the tool's name."""
    images: tuple[Image, ...] = ()
    """User only."""
    integrity: Integrity | None = field(default=None, compare=False)
    """Tool only: the result's label; None in a run recorded before there were labels."""
    confidentiality: Confidentiality | None = field(default=None, compare=False)
    """Tool only, likewise."""
    encoded: dict[str, bytes] = field(
        default_factory=dict[str, bytes], compare=False, repr=False, init=False
    )
    """Wire form by dialect, filled by the model clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a run is asked to do."""

    prompt: str
    context: str = ""
    """Text piped in beside the prompt."""
    images: tuple[Image, ...] = ()
    """For a model that sees."""
    output_schema: dict[str, Any] | None = None
    """JSON schema the answer must satisfy."""


class Finish(StrEnum):
    """Why the model stopped writing. Only STOP and CALLS are terminal: after them calls may run."""

    STOP = "stop"
    CALLS = "calls"
    LENGTH = "length"
    """cut by the token limit; tool calls in it are discarded whole"""
    FILTER = "filter"
    """withheld by the provider"""
    CUT = "cut"
    """the stream ended without saying why; tool calls in it are discarded whole"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one reply, or all of them, consumed."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """of the prompt, not evaluated again"""
    cost_usd: float | None = None
    """None when the price is not known"""

    def __add__(self, other: "Usage") -> "Usage":
        costs = [c for c in (self.cost_usd, other.cost_usd) if c is not None]
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cost_usd=sum(costs) if costs else None,
        )

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next tokens are chosen; None leaves it to the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    """The reply ends before the first of these that it would contain."""
    constrain: bool = True
    """False: sample calls freely, where a model could constrain them. Training on rollouts needs
    the distribution that the model itself has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """The tokens of one reply, exact enough to train on."""

    prompt_suffix_ids: tuple[int, ...]
    """What was added to the run's previous prompt and completion (all of it at the first step)."""
    kept_ids: int
    """How many ids of the previous prompt + completion still stand before the suffix."""
    sampled_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Natural log, under the distribution sampled from, one per sampled id."""
    constrained: tuple[bool, ...]
    """True where a grammar mask was in force, one per sampled id."""
    sampling: Sampling | None = None
    """As it was done: no default left open, the seed that was used."""
    constraint_sha256: str = ""
    """Of the grammar that masked; empty where none did."""
    model_sha256: str = ""
    """Of the model file (head and tail where it is large) and its adapters."""
    template_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What went to a server: with the events before it, its request byte for byte."""

    request_sha256: str
    """Of the body as it was sent"""
    options: dict[str, Any]
    """The body without tools and messages"""
    sends_reasoning: bool = False
    """Earlier reasoning stood in the messages"""
    answered: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the server said of its answer: id, created, system_fingerprint, service_tier"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model answered, whole."""

    message: Message
    finish: Finish
    usage: Usage = Usage()
    model: str = ""
    """The model's own name for itself, as the provider returned it."""
    tokens: TokenRecord | None = None
    seconds_to_first_token: float | None = None
    exchange: Exchange | None = None
    """Of a model behind a server."""
    route: tuple[str, ...] = ()
    """Models that were asked before this one, and why each was left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDelta:
    """A piece of a tool call being written; it may only run once the `Reply` is there."""

    index: int
    id: str = ""
    name: str = ""
    arguments_text: str = ""


Delta = TextDelta | ReasoningDelta | CallDelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """What a model is told of a tool."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON schema"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to a model: the whole conversation so far."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    sampling: Sampling = Sampling()
    output_schema: dict[str, Any] | None = None
    """When set, the final text must satisfy it; models that can constrain do."""
    conversation: str = ""
    """Same for all requests of one run: lets a local model keep its cache."""
    must_call: bool = False
    """The reply has to be a tool call; models that can constrain see to it."""
    calls_in_text: bool = False
    """Calls are read from the reply's text: it is whole only where its end is given a reason."""


class Model(Protocol):
    """Anything that answers. Implementations retry before the first token, never after."""

    @property
    def name(self) -> str:
        """As the user spells it: `tiny`, `gguf:/m.gguf`, `openai/gpt-5`."""
        ...

    @property
    def is_local(self) -> bool:
        """True when no byte of a request leaves the machine."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """For the trajectory: file hash, template hash, endpoint without secrets. JSON values."""
        ...

    def stream(self, request: Request) -> AsyncGenerator[Delta | Reply, None]:
        """Yield deltas, then exactly one `Reply` last. Raises: ModelError."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Forking(Protocol):
    """A model that writes several replies to one prompt, evaluated once for all of them."""

    async def sample(self, request: Request, count: int) -> list[Reply]:
        """`count` replies, in order, each with a seed of its own in its `TokenRecord`.

        The conversation goes on with whichever of them the next request quotes. Raises: ModelError.
        """
        ...

    async def adopt(self, conversation: str, sample: int) -> None:
        """Go on with this reply (its place in the list) and forget the others.

        Needed only where two of them read the same; it frees their cache at once.
        """
        ...


@runtime_checkable
class Startable(Protocol):
    """A model that takes time to get ready and can do so while other things are prepared."""

    async def start(self) -> None:
        """Get ready; at once when it is. Raises: ModelError."""
        ...


class Stop(StrEnum):
    """Why a run ended."""

    DONE = "done"
    """The model gave its answer."""
    STEPS = "steps"
    """The step budget was used up."""
    TOOL_CALLS = "tool_calls"
    """The tool-call budget was used up."""
    TOKENS = "tokens"
    """The token budget was used up."""
    COST = "cost"
    """The cost budget was used up."""
    TIME = "time"
    """The wall-clock budget was used up."""
    CONTEXT = "context"
    """The conversation no longer fits the model's window; `error` has both sizes."""
    MALFORMED = "malformed"
    """Too many replies in a row could not be used."""
    APPROVAL = "approval"
    """A call needed a person and nobody could be asked."""
    CANCELLED = "cancelled"
    """The caller or the person stopped it."""
    FAILED = "failed"
    """The runtime or the provider failed; `error` says how."""
