"""How a training goes, on stderr: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from wardian.cli.sanitise import visible
from wardian.cli.terminal import Terminal, write
from wardian.train.measures import Measured

LINES = 20
"""About as many lines as a training has without a terminal"""
SHOWN = (
    "dev_success",
    "reward",
    "success",
    "loss",
    "dev_loss",
    "preferred",
    "kl",
    "entropy",
    "groups_used",
    "tokens_mean",
)
"""Measures that fit beside the bar, the most telling first"""


def figures(values: dict[str, float], most: int) -> str:
    named = [name for name in SHOWN if name in values][:most]
    return "  ".join(f"{name.replace('_', ' ')} {values[name]:.3g}" for name in named)


class PlainProgress:
    """A line whenever another twentieth is done, and one for each measurement on dev data."""

    def __init__(self) -> None:
        self.step = 0
        self.values: dict[str, float] = {}
        self._began = time.monotonic()
        self._told = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        return None

    def seen(self, measured: Measured) -> None:
        self.take(measured)
        if measured.said:
            write(sys.stderr, visible(measured.said) + "\n")
            return
        every = max(1, measured.steps // LINES)
        is_dev = any(name.startswith("dev_") for name in measured.values)
        if is_dev or (measured.values and measured.step >= self._told + every):
            self._told = measured.step if not is_dev else self._told
            seconds = time.monotonic() - self._began
            told = figures(dict(measured.values), 6)
            write(sys.stderr, f"step {measured.step}/{measured.steps}: {told}  ({seconds:.0f} s)\n")

    def take(self, measured: Measured) -> None:
        if not measured.said:
            self.step = measured.step
            self.values |= measured.values


class BarProgress(PlainProgress):
    """A bar with the newest figures and what is left to wait for."""

    def __init__(self, screen: Terminal) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining

        console = Console(stderr=True, no_color=not screen.colour, highlight=False, emoji=False)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            Remaining(),
            TextColumn("{task.fields[figures]}", markup=False),
            console=console,
        )
        self._bar = self._bars.add_task("loading", total=None, figures="")
        self._most = max(2, min(7, (screen.width - 56) // 14))

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._bars.stop()

    def seen(self, measured: Measured) -> None:
        self.take(measured)
        if measured.said:
            self._bars.console.print(visible(measured.said), markup=False)
            return
        done = measured.step if measured.part >= 1 else max(0, measured.step - 1) + measured.part
        self._bars.update(
            self._bar,
            description=f"step {measured.step}/{measured.steps}",
            total=measured.steps,
            completed=done,
            figures=figures(self.values, self._most),
        )
