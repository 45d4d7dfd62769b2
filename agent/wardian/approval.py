"""What a person, or a program in their place, says of calls that the policy asks about."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self, runtime_checkable

from wardian_policies.types import Ask
from wardian_tools.types import Tool, ToolCall

MAX_EDITS = 8
"""Edits of one call before it counts as not allowed; a callback could go on for ever."""


class Said(StrEnum):
    """The answers there are; as they stand in the trajectory."""

    YES = "yes"
    """this once"""
    SESSION = "session"
    """and whatever else of this tool the same rule asks about, while this agent lives"""
    ALWAYS = "always"
    """and a rule that allows it was saved"""
    NO = "no"
    EDIT = "edit"
    """not this call, but one with other arguments, which is decided again"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was said of one call. `approve` may also return a plain bool."""

    said: Said
    arguments: Mapping[str, Any] | None = None
    """Of an edit: what to call the tool with instead."""
    reason: str = ""
    """Of a no: told to the model."""
    saved: str = ""
    """Of an always: the rule that was saved, and where."""

    @classmethod
    def of(cls, answer: "bool | Answer") -> "Answer":
        if isinstance(answer, Answer):
            return answer
        return Answer(said=Said.YES if answer is True else Said.NO)

    @classmethod
    def no(cls, reason: str = "") -> Self:
        """Not allowed; the model is told the reason."""
        return cls(said=Said.NO, reason=reason)

    @classmethod
    def edit(cls, **arguments: Any) -> Self:
        """These arguments instead. They are validated and decided like any others."""
        return cls(said=Said.EDIT, arguments=arguments)

    @classmethod
    def session(cls) -> Self:
        """Yes, and do not ask again for this tool under this rule."""
        return cls(said=Said.SESSION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A call that waits for an answer."""

    ask: Ask
    call: ToolCall
    tool: Tool
    pattern: str | None
    """What would allow it for good in `[tools] allow` of the user's policy, if anything does."""
    is_rule: bool
    """Is it a rule on calls that asks? What a flow rule asks about is asked every time."""
    check: Callable[[Mapping[str, Any]], str | None]
    """What is wrong with other arguments for it, or None."""
    by: str = ""
    """The sub-agent that wants it; empty for the agent itself"""


Approve = Callable[[Ask, ToolCall], Awaitable[bool | Answer]]
"""May this call run? One question at a time."""


@runtime_checkable
class ApprovesSeveral(Protocol):
    """An `approve` that would rather see all pending calls of a reply at once."""

    async def several(self, pending: Sequence[Pending]) -> Sequence[Answer]:
        """An answer to each, in order."""
        ...


@dataclass(slots=True)
class Grants:
    """What was allowed for as long as an agent lives; its sub-agents share it."""

    rules: set[tuple[str, str, str]] = field(default_factory=set[tuple[str, str, str]])
    """Rule, where it stands, tool"""
    patterns: set[str] = field(default_factory=set[str])
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One question at a time, whoever asks."""

    def answer(self, pending: Pending) -> Answer | None:
        """What was said of such a call before."""
        if not pending.is_rule:
            return None
        if pending.pattern in self.patterns:
            return Answer(said=Said.ALWAYS)
        return Answer(said=Said.SESSION) if rule_key(pending) in self.rules else None

    def note(self, pending: Pending, answer: Answer) -> None:
        if not pending.is_rule:
            return
        if answer.said is Said.SESSION:
            self.rules.add(rule_key(pending))
        elif answer.said is Said.ALWAYS and pending.pattern:
            self.patterns.add(pending.pattern)


def rule_key(pending: Pending) -> tuple[str, str, str]:
    rule = pending.ask.rule
    return rule.text, rule.source, pending.call.name


async def answers(approve: Approve, grants: Grants, pending: Sequence[Pending]) -> list[Answer]:
    """An answer to each pending call, in order; only what was not answered before is asked."""
    together = as_several(approve)
    async with grants.turn:
        found = {one.call.id: grants.answer(one) for one in pending}
        left = [one for one in pending if found[one.call.id] is None]
        if together and len(left) > 1:
            given = [Answer.of(answer) for answer in await together.several(left)]
            assert len(given) == len(left), "an answer to each pending call is needed"
            for one, answer in zip(left, given, strict=True):
                grants.note(one, answer)
                found[one.call.id] = answer
            left = []
        for one in left:
            # An answer for the session may have come with the one before.
            answer = grants.answer(one) or await one_answer(approve, together, one)
            grants.note(one, answer)
            found[one.call.id] = answer
    return [found[one.call.id] or Answer.no() for one in pending]


def as_several(approve: object) -> ApprovesSeveral | None:
    return approve if isinstance(approve, ApprovesSeveral) else None


async def one_answer(
    approve: Approve, together: ApprovesSeveral | None, pending: Pending
) -> Answer:
    if together:
        (answer,) = await together.several([pending])
        return Answer.of(answer)
    return Answer.of(await approve(pending.ask, pending.call))
