"""One budget for all stages of a circle, over all the times that it is gone on with."""

import time
from dataclasses import dataclass

from wardian.budget import Ledger
from wardian.errors import ExitCode, WardianError
from wardian.improve.diary import Diary
from wardian_policies.types import Budgets


class BudgetUsedUp(WardianError):
    """What is done is kept; with a larger budget the same call goes on."""

    exit_code = ExitCode.LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """None: without bound."""

    seconds: float | None = None
    tokens: int | None = None
    """Of attempts, read and written; training reads more"""


class Purse:
    """What is left. A stage that was killed has cost nothing: nobody knows how long it took."""

    def __init__(self, limits: Limits, diary: Diary) -> None:
        self._limits = limits
        self._diary = diary
        self._began: float | None = None
        """When the stage began that is under way"""

    def begin(self) -> None:
        """A stage begins. Raises: BudgetUsedUp."""
        self._began = time.monotonic()
        self.check()

    def end(self) -> float:
        """The stage is over; its seconds."""
        took = self.stage_seconds
        self._began = None
        return took

    @property
    def stage_seconds(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began

    def check(self) -> None:
        """Raises: BudgetUsedUp."""
        for what, left in (("time", self.seconds_left), ("tokens", self.tokens_left)):
            if left is not None and left <= 0:
                raise self.used_up(what)

    def used_up(self, what: str) -> BudgetUsedUp:
        return BudgetUsedUp(
            f"The budget of {what} is used up after {self._diary.seconds + self.stage_seconds:.0f}"
            f" s and {self._diary.tokens:,} tokens.",
            "What is done is kept: the same command with a larger budget goes on.",
        )

    @property
    def seconds_left(self) -> float | None:
        if self._limits.seconds is None:
            return None
        return self._limits.seconds - self._diary.seconds - self.stage_seconds

    @property
    def tokens_left(self) -> int | None:
        return None if self._limits.tokens is None else self._limits.tokens - self._diary.tokens

    def ledger(self) -> Ledger | None:
        """For attempts. Raises: BudgetUsedUp."""
        self.check()
        if self._limits == Limits():
            return None
        return Ledger(
            Budgets(
                steps=None,
                tool_calls=None,
                cost_usd=None,
                tokens=self.tokens_left,
                wall_seconds=self.seconds_left,
            )
        )
