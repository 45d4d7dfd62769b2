"""What a run has consumed, computed from its events, and the room its next call needs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from wardian.budget import LEAST_USD, NOTHING, Amount, Ledger, Reached, Reservation
from wardian.events import (
    CallFinished,
    CallStarted,
    ChildFinished,
    ModelAsked,
    ModelReplied,
    Recorded,
    RunStarted,
)
from wardian.types import Message, Sampling, Stop, ToolSpec, Usage
from wardian_policies.types import Budgets
from wardian_tools.types import ResultStatus

MAX_STRIKES = 3
"""Replies in a row that could not be used before the run ends; one good call resets the count."""
SHARED_REPLY_TOKENS = 8192
"""The cap of a reply where several runs share a budget of tokens or money, so that one of them need
not reserve all that is left."""
IMAGE_TOKENS = 4096
"""More than any provider known to us counts for an image."""
MESSAGE_TOKENS = 16
"""What a chat template puts around a message."""
DEMANDED_AFTER = 2
"""Malformed calls in a row after which the next reply has to be a call."""


@dataclass(slots=True, kw_only=True)
class Meter:
    """Counts a run and reserves what it needs."""

    ledger: Ledger = field(default_factory=lambda: Ledger(Budgets()))
    steps: int = 0
    tool_calls: int = 0
    usage: Usage = field(default_factory=Usage)
    strikes: int = 0
    stopped_by: Reached | None = None
    """The limit that left no room for another reply"""
    reply_tokens: int | None = None
    """The cap of the reply that has room; None is the model's own"""
    _reply: Reservation | None = None
    _calls: list[Reservation] = field(default_factory=list[Reservation])
    _known_tokens: int = 0
    """Of the prompt at the last step, with its reply"""
    _known_messages: int = 0
    _usd_per_token: float | None = None
    """The highest price seen; None before the first reply."""
    malformed_calls: int = 0
    """Since the last usable one"""

    @property
    def seconds(self) -> float:
        return self.ledger.seconds - self.ledger.before.seconds

    async def admit(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling
    ) -> Stop | None:
        """Room for one more reply, or the limit that leaves none. Waits for others near a limit."""
        found = await self.ledger.reserve(
            lambda: self._estimate(messages, tools, sampling.max_tokens)
        )
        if isinstance(found, Reached):
            self.stopped_by = found
            return found.stop
        if self.strikes >= MAX_STRIKES:
            found.settle(NOTHING)
            return Stop.MALFORMED
        self._reply, self._known_messages = found, len(messages) + 1  # with the reply
        return None

    @property
    def reserved(self) -> dict[str, float]:
        """What the reply being waited for may take, for the trajectory; nothing without a limit."""
        if not self._reply or not self.ledger.is_limited(Stop.TOKENS, Stop.COST):
            return {}
        return {"tokens": self._reply.amount.tokens, "cost_usd": self._reply.amount.cost_usd}

    def reserve_call(self) -> bool:
        """Room for one more tool call."""
        reservation = self.ledger.reserve_now(Amount(tool_calls=1))
        if reservation:
            self._calls.append(reservation)
        return reservation is not None

    def release_call(self) -> None:
        """A call that had room will not run."""
        self._calls.pop().settle(NOTHING)

    def close(self) -> None:
        """The run is over: what was not used is free again. A reply that never came is counted as
        what was reserved for it, since its provider may count it too."""
        while self._calls:
            self.release_call()
        if self._reply:
            amount = self._reply.amount
            self._reply.settle(Amount(tokens=amount.tokens, cost_usd=amount.cost_usd))
            self._reply = None
        self.ledger.close()

    def apply(self, event: Recorded) -> None:
        match event:
            case ModelReplied(reply=reply):
                self.steps += 1
                self.usage = self.usage + reply.usage
                self.strikes += 1
                self._settle_reply(reply.usage)
            case CallStarted():
                self.tool_calls += 1
                if self._calls:
                    self._calls.pop().settle(Amount(tool_calls=1))
            case CallFinished(result=result):
                if result.status not in (ResultStatus.MALFORMED, ResultStatus.DISCARDED):
                    self.strikes = 0
                self.malformed_calls += result.status is ResultStatus.MALFORMED
                if not self.strikes:
                    self.malformed_calls = 0
            case _:
                pass

    def _settle_reply(self, usage: Usage) -> None:
        self._known_tokens = usage.total_tokens
        if usage.total_tokens:
            rate = (usage.cost_usd or 0.0) / usage.total_tokens
            self._usd_per_token = max(rate, self._usd_per_token or 0.0)
        if self._reply:
            cost = usage.cost_usd or 0.0
            self._reply.settle(Amount(steps=1, tokens=usage.total_tokens, cost_usd=cost))
            self._reply = None

    def _estimate(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], wanted: int | None
    ) -> Amount:
        """An upper estimate of one reply: no tokenizer makes more tokens than there are bytes."""
        self.reply_tokens = self._cap(wanted)
        if not self.ledger.is_limited(Stop.TOKENS, Stop.COST):
            return Amount(steps=1)
        if self._known_tokens:
            prompt = self._known_tokens + sum(map(most_tokens, messages[self._known_messages :]))
        else:
            prompt = sum(map(most_tokens, messages)) + sum(map(most_tokens_of, tools))
        tokens = prompt + (self.reply_tokens or 0)
        cost = 0.0
        if (left := self.ledger.left(Stop.COST)) is not None:
            # Where nobody can say, all of it, so that others wait until it is known.
            is_known = self.reply_tokens is not None and self._usd_per_token is not None
            cost = tokens * (self._usd_per_token or 0.0) if is_known else max(left, 2 * LEAST_USD)
        return Amount(steps=1, tokens=tokens, cost_usd=cost)

    @property
    def must_call(self) -> bool:
        """The model means to call a tool and cannot spell it: a call is demanded of it."""
        return self.malformed_calls >= DEMANDED_AFTER

    def _cap(self, wanted: int | None) -> int | None:
        """What is wanted, but no more than the budgets have left."""
        ledger = self.ledger
        if ledger.is_shared and ledger.is_limited(Stop.TOKENS, Stop.COST):
            wanted = min(wanted or SHARED_REPLY_TOKENS, SHARED_REPLY_TOKENS)
        left = ledger.left(Stop.TOKENS)
        if left is None:
            return wanted
        return max(1, int(left) if wanted is None else min(wanted, int(left)))


def most_tokens(message: Message) -> int:
    """More tokens than the message can have."""
    calls = sum(
        len((call.name + call.arguments_text).encode("utf-8", "replace")) for call in message.calls
    )
    text = len(message.content.encode("utf-8", "replace"))
    text += len(message.reasoning.encode("utf-8", "replace"))
    parts = MESSAGE_TOKENS * (1 + len(message.calls)) + IMAGE_TOKENS * len(message.images)
    return text + calls + parts


def most_tokens_of(tool: ToolSpec) -> int:
    """The same of a tool's description."""
    text = tool.name + tool.description + json.dumps(tool.parameters)
    return len(text.encode("utf-8", "replace")) + MESSAGE_TOKENS


def consumed(events: Iterable[Recorded]) -> Amount:
    """What a run and its sub-agents consumed, as its trajectory tells it; without its own time.

    What it went on from counts too, and a request without a reply as what was reserved for it.
    """
    total, waiting = NOTHING, NOTHING
    for event in events:
        match event:
            case RunStarted(spent=spent):
                total += Amount.of(spent)
            case ModelAsked(reserved=reserved):
                total += waiting
                tokens, cost = int(reserved.get("tokens", 0)), reserved.get("cost_usd", 0.0)
                waiting = Amount(tokens=tokens, cost_usd=cost)
            case ModelReplied(reply=reply):
                usage, waiting = reply.usage, NOTHING
                cost = usage.cost_usd or 0.0
                total += Amount(steps=1, tokens=usage.total_tokens, cost_usd=cost)
            case CallStarted():
                total += Amount(tool_calls=1)
            case ChildFinished(consumed=child):
                total += replace(Amount.of(child), seconds=0.0)
            case _:
                pass
    return total + waiting
