"""How an evaluation goes, on stderr: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from wardian.cli.closing import counted
from wardian.cli.sanitise import one_line
from wardian.cli.terminal import Terminal, write
from wardian.evals.outcomes import Outcome, Plan

LINES = 20
"""About as many lines as an evaluation has without a terminal"""


class Progress:
    """Counts, and shows nothing."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        """None before it has begun"""
        self.done = 0
        self.passed = 0
        self.errors = 0
        self.known = 0
        """Outcomes that were there before"""
        self.began = time.monotonic()

    def planned(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        self.plan = plan
        counting = [one for one in outcomes if one.counts]
        self.done = self.known = len(counting)
        self.passed = sum(one.passed for one in counting)
        self.errors = 0  # they are tried again, or not counted among what was done before

    def ended(self, outcome: Outcome) -> None:
        self.done += 1
        self.passed += outcome.passed
        self.errors += not outcome.counts

    @property
    def figures(self) -> str:
        failed = self.done - self.passed - self.errors
        errors = f", {counted(self.errors, 'error')}" if self.errors else ""
        return f"{self.passed} passed, {failed} failed{errors}"


class PlainProgress(Progress):
    """A line whenever another twentieth is done, and for each error's first words."""

    def planned(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        super().planned(plan, outcomes)
        models = one_line(", ".join(plan.models), 200)
        suite = f"{one_line(plan.suite, 60)}, {len(plan.tasks)} tasks x {plan.attempts}"
        write(sys.stderr, f"evaluation {plan.id}: {suite}, {models}\n")
        if self.known:
            write(sys.stderr, f"{self.known}/{plan.size} were done before\n")

    def ended(self, outcome: Outcome) -> None:
        super().ended(outcome)
        assert self.plan is not None
        if not outcome.counts and self.errors <= LINES:
            write(sys.stderr, f"error in {outcome.task}: {one_line(outcome.detail, 200)}\n")
        every = max(1, self.plan.size // LINES)
        if self.done % every == 0 or self.done == self.plan.size:
            seconds = time.monotonic() - self.began
            write(sys.stderr, f"{self.done}/{self.plan.size}: {self.figures}, {seconds:.0f} s\n")


class BarProgress(Progress):
    """A bar with what is left to wait for."""

    def __init__(self, screen: Terminal) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        console = Console(stderr=True, no_color=not screen.colour, highlight=False, emoji=False)
        self.bars = Bars(
            TextColumn("{task.fields[model]}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.bar = self.bars.add_task("", total=None, model="", figures="")

    def planned(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        super().planned(plan, outcomes)
        self.bars.start()
        self.bars.update(self.bar, total=plan.size, completed=self.done, figures=self.figures)

    def ended(self, outcome: Outcome) -> None:
        super().ended(outcome)
        model = one_line(outcome.model, 30)
        self.bars.update(self.bar, completed=self.done, model=model, figures=self.figures)


@contextmanager
def progress_on(screen: Terminal, *, quiet: bool) -> Generator[Progress]:
    """What is told of the evaluation, for as long as it goes on."""
    if quiet:
        yield Progress()
    elif not screen.is_tty:
        yield PlainProgress()
    else:
        progress = BarProgress(screen)
        try:
            yield progress
        finally:
            progress.bars.stop()
