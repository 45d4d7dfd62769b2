"""What a run and its sub-agents may consume together: reserved before a call, settled after it.

A ledger has the budgets of one run; a sub-agent's has its own and draws on its parent's too. A call
is let in while something is left that nobody else has reserved, and then reserves an upper estimate
of what it may take. So what is consumed goes over a budget by at most the one call that was let in
last, however many sub-agents run at once. Near a limit calls wait for each other; they are refused
only when nothing is left.

Covers: the tasks of one event loop. Does not cover: threads; a provider that takes more than the
upper estimate.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace

from wardian.types import Stop
from wardian_policies.types import Budgets

COUNTED = {
    Stop.STEPS: "steps",
    Stop.TOOL_CALLS: "tool_calls",
    Stop.TOKENS: "tokens",
    Stop.COST: "cost_usd",
}
"""What is reserved; time passes by itself."""
LEAST_USD = 1e-9
"""Less than that is a rounding error and not money: what is left when it is used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """What a call, or a whole run with its sub-agents, consumed."""

    steps: int = 0
    tool_calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    """Of the run itself; its sub-agents run within them."""

    @classmethod
    def of(cls, numbers: Mapping[str, float]) -> "Amount":
        """From its form in a trajectory."""
        return cls(
            steps=int(numbers.get("steps", 0)),
            tool_calls=int(numbers.get("tool_calls", 0)),
            tokens=int(numbers.get("tokens", 0)),
            cost_usd=numbers.get("cost_usd", 0.0),
            seconds=numbers.get("seconds", 0.0),
        )

    def as_json(self) -> dict[str, float]:
        """For a trajectory: what is not nothing."""
        return {name: value for name, value in asdict(self).items() if value}

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in FIELDS})

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(**{f.name: getattr(self, f.name) - getattr(other, f.name) for f in FIELDS})


FIELDS = fields(Amount)
NOTHING = Amount()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A budget that is used up."""

    stop: Stop
    limit: float
    is_shared: bool
    """It is not the run's own but that of the run that called it, or of a group of attempts"""

    @property
    def sentence(self) -> str:
        unit = {
            Stop.STEPS: "step",
            Stop.TOOL_CALLS: "tool call",
            Stop.TOKENS: "token",
            Stop.COST: "USD",
            Stop.TIME: "second",
        }[self.stop]
        unit += "" if self.limit == 1 or self.stop is Stop.COST else "s"
        whose = " that this run shares" if self.is_shared else ""
        return f"The limit of {self.limit:g} {unit}{whose} was reached."


class Ledger:
    """The budgets of one run, what of them is used, and what is reserved."""

    def __init__(
        self,
        budgets: Budgets,
        *,
        parent: "Ledger | None" = None,
        spent: Amount = NOTHING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`spent` is what the run had consumed before, when it goes on from another."""
        self.budgets = budgets
        self.parent = parent
        self.used = replace(spent, seconds=0.0)
        self.held: list[Amount] = []
        """What calls that go on may take."""
        self.users = 0
        """Runs that draw on it, beside its own."""
        self.clock: Callable[[], float] = parent.clock if parent else clock
        self.waiting: list[asyncio.Future[None]] = parent.waiting if parent else []
        self.before = spent
        self._began = self.clock() - spent.seconds
        if parent:
            parent.users += 1

    @property
    def seconds(self) -> float:
        return self.clock() - self._began

    @property
    def reserved(self) -> Amount:
        return sum(self.held, NOTHING)

    @property
    def spent(self) -> Amount:
        """By the run and its sub-agents."""
        return replace(self.used, seconds=self.seconds)

    @property
    def is_shared(self) -> bool:
        """Do others draw on what this run draws on?"""
        return self.parent is not None or self.users > 0

    def limit(self, stop: Stop) -> float | None:
        """The run's own budget of that kind."""
        name = "wall_seconds" if stop is Stop.TIME else COUNTED[stop]
        value: float | None = getattr(self.budgets, name)
        return value

    def is_limited(self, *stops: Stop) -> bool:
        """Is any of these budgets set, here or above?"""
        return any(one.limit(stop) is not None for one in self._chain() for stop in stops)

    def left(self, stop: Stop) -> float | None:
        """What nobody has used or reserved of a budget, here and above; None is no limit."""
        lefts = [
            limit - one.used_of(stop, with_reserved=True)
            for one in self._chain()
            if (limit := one.limit(stop)) is not None
        ]
        if not lefts:
            return None
        return least if (least := min(lefts)) > LEAST_USD else 0.0

    def reached(self) -> Reached | None:
        """The first budget that is used up, the run's own before those above."""
        for one in self._chain():
            for stop in (*COUNTED, Stop.TIME):
                limit = one.limit(stop)
                if limit is not None and limit - one.used_of(stop) <= LEAST_USD:
                    return Reached(stop=stop, limit=limit, is_shared=one is not self)
        return None

    def nearest(self, stop: Stop) -> Reached:
        """The budget of that kind with the least left. There must be one."""
        limits = {
            limit - one.used_of(stop): Reached(stop=stop, limit=limit, is_shared=one is not self)
            for one in self._chain()
            if (limit := one.limit(stop)) is not None
        }
        return limits[min(limits)]

    async def reserve(self, estimate: Callable[[], Amount]) -> "Reservation | Reached":
        """Room for a call that takes at most `estimate()`; waits while others hold what is left."""
        while (reached := self.reached()) is None:
            if reservation := self.reserve_now(estimate()):
                return reservation
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn
        return reached

    def reserve_now(self, amount: Amount) -> "Reservation | None":
        """The same without waiting: None where nothing is left at the moment."""
        wanted = [stop for stop, name in COUNTED.items() if getattr(amount, name)]
        if any(self.left(stop) == 0 for stop in wanted):
            return None
        return Reservation(tuple(self._chain()), amount)

    def close(self) -> None:
        """The run is over and draws no more on its parent's."""
        if self.parent:
            self.parent.users -= 1
            self.parent = None

    def used_of(self, stop: Stop, *, with_reserved: bool = False) -> float:
        if stop is Stop.TIME:
            return self.seconds
        amounts = (self.used, *self.held) if with_reserved else (self.used,)
        total: float = sum(getattr(amount, COUNTED[stop]) for amount in amounts)
        return total

    def _chain(self) -> "Iterator[Ledger]":
        one: Ledger | None = self
        while one is not None:
            yield one
            one = one.parent


class Reservation:
    """What a call may take at most, held on a ledger and all those above, until it is settled."""

    def __init__(self, ledgers: tuple[Ledger, ...], amount: Amount) -> None:
        self.amount = amount
        self._ledgers = ledgers
        for one in ledgers:
            one.held.append(amount)

    def settle(self, consumed: Amount) -> None:
        """The call took `consumed`. Only the first time counts."""
        for one in self._ledgers:
            one.held.remove(self.amount)  # of equal amounts any will do
            one.used += consumed
        waiting = self._ledgers[-1].waiting if self._ledgers else []
        self._ledgers = ()
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)
        waiting.clear()
