"""What a run has consumed, computed from its events, against what its budgets allow."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from wardian.events import CallFinished, CallStarted, ModelReplied, Recorded
from wardian.types import Stop, Usage
from wardian_policies.types import Budgets
from wardian_tools.types import ResultStatus

MAX_STRIKES = 3
"""Replies in a row that could not be used before the run ends; one good call resets the count."""
DEMANDED_AFTER = 2
"""Malformed calls in a row after which the next reply has to be a call."""


@dataclass(slots=True, kw_only=True)
class Meter:
    """Counts a run. `clock` gives monotonic seconds."""

    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)
    steps: int = 0
    tool_calls: int = 0
    usage: Usage = field(default_factory=Usage)
    strikes: int = 0
    malformed_calls: int = 0
    """Since the last usable one."""

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def seconds(self) -> float:
        return self.clock() - self.started

    def apply(self, event: Recorded) -> None:
        match event:
            case ModelReplied(reply=reply):
                self.steps += 1
                self.usage = self.usage + reply.usage
                self.strikes += 1
            case CallStarted():
                self.tool_calls += 1
            case CallFinished(result=result):
                if result.status not in (ResultStatus.MALFORMED, ResultStatus.DISCARDED):
                    self.strikes = 0
                self.malformed_calls += result.status is ResultStatus.MALFORMED
                if not self.strikes:
                    self.malformed_calls = 0
            case _:
                pass

    def reached(self, budgets: Budgets) -> Stop | None:
        """The first limit that is used up, or None while the run may go on."""
        spent = [
            (Stop.STEPS, self.steps, budgets.steps),
            (Stop.TOOL_CALLS, self.tool_calls, budgets.tool_calls),
            (Stop.TOKENS, self.usage.total_tokens, budgets.tokens),
            (Stop.COST, self.usage.cost_usd, budgets.cost_usd),
            (Stop.TIME, self.seconds, budgets.wall_seconds),
        ]
        for stop, used, limit in spent:
            if limit is not None and used is not None and used >= limit:
                return stop
        return Stop.MALFORMED if self.strikes >= MAX_STRIKES else None

    @property
    def must_call(self) -> bool:
        """The model means to call a tool and cannot spell it: a call is demanded of it."""
        return self.malformed_calls >= DEMANDED_AFTER

    def calls_left(self, budgets: Budgets) -> int | None:
        """Tool calls that may still run; None is no limit."""
        return None if budgets.tool_calls is None else max(0, budgets.tool_calls - self.tool_calls)

    def reply_tokens(self, budgets: Budgets, wanted: int | None) -> int | None:
        """The token cap of the next reply: what is wanted, but no more than the budget has left."""
        if budgets.tokens is None:
            return wanted
        left = max(1, budgets.tokens - self.usage.total_tokens)
        return left if wanted is None else min(wanted, left)
