"""What stands between a run and all that see it: provider, tools, log, screen.

Each channel passes through one place here:
- events, on their way to the log, the conversation (so to the provider) and who listens: `hidden`;
- replies, before anything is done with them: `reply`; as they are streamed: `delta`, `flush`;
- a call's arguments, on their way to a tool: `for_tool`;
- an error that leaves the run: `cleaned`.

Pseudonyms are undone in `for_tool` and `shown`, nowhere else.

A run that has nothing to hide gets this module's `Screen`, which changes nothing. The one that
redacts is imported where it is needed: a run on a local model without secrets pays nothing for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from wardian.types import Delta, Reply
from wardian_tools.types import Tool, ToolCall

T = TypeVar("T")


@runtime_checkable
class HoldsSecrets(Protocol):
    """A model, or tool servers, with secrets of their own, such as an API key."""

    def secrets(self) -> Mapping[str, str]:
        """By what to show in their place."""
        ...


class UnfitArguments(ValueError):
    """A call's arguments hold a placeholder that must not reach its tool."""


class Restored(NamedTuple):
    """A call as its tool gets it."""

    call: ToolCall
    is_personal: bool
    """It held pseudonyms."""


class Screen:
    """Hides nothing, since there is nothing to hide."""

    def hidden(self, value: T) -> T:
        """The value with every text in it safe to be sent and stored. Raises: OSError."""
        return value

    def shown(self, value: T) -> T:
        """The value as the user sees it."""
        return value

    def reply(self, reply: Reply) -> Reply:
        """The reply, safe to act on."""
        return reply

    def for_tool(self, call: ToolCall, tool: Tool) -> Restored:
        """The call with its pseudonyms undone, in values only. Raises: UnfitArguments."""
        return Restored(call, is_personal=False)

    def delta(self, delta: Delta) -> Iterator[Delta]:
        """The piece of a reply, or what of it can be shown already."""
        yield delta

    def flush(self) -> Iterator[Delta]:
        """What was held back, when the reply has ended."""
        yield from ()

    def cleaned(self, error: BaseException) -> None:
        """Take secrets out of an exception, and of those it came from."""


@dataclass(slots=True)
class Session:
    """What several runs of one agent share: the pseudonyms, once there are any."""

    pseudonyms: Any = None
