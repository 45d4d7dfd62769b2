"""A run's events, step by step, with what each step took."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from wardian.events import (
    CallFinished,
    ChangesUndone,
    Compared,
    Forked,
    Labelled,
    ModelReplied,
    Rated,
    Recorded,
    RunFinished,
    RunStarted,
    Tagged,
)
from wardian.types import Usage

Afterwards = ChangesUndone | Compared | Forked | Rated | Tagged | Labelled


def origin(started: RunStarted) -> str:
    """Which other run it belongs to, in a few words; empty for one of its own."""
    of = started.parent or started.fork
    if not of:
        return ""
    what = f"sub-agent {of.get('name')}" if started.parent else "fork"
    return f"{what} of run {of.get('run_id')}, step {of.get('step')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happened between a question to the model and the next."""

    number: int
    """0 for what came before the first"""
    events: tuple[Recorded, ...]

    @property
    def replies(self) -> tuple[ModelReplied, ...]:
        """One, or none where the run broke off."""
        return tuple(e for e in self.events if isinstance(e, ModelReplied))

    @property
    def results(self) -> tuple[CallFinished, ...]:
        return tuple(e for e in self.events if isinstance(e, CallFinished))

    @property
    def usage(self) -> Usage:
        return sum((e.reply.usage for e in self.replies), Usage())

    @property
    def model_seconds(self) -> float:
        return sum(e.seconds for e in self.replies)

    @property
    def calls_seconds(self) -> float:
        """Of all its calls, also of those that ran side by side."""
        return sum(e.result.seconds for e in self.results)

    @property
    def calls(self) -> int:
        return sum(len(e.reply.message.calls) for e in self.replies)

    @property
    def status(self) -> str:
        """`2 ok, 1 denied`; how the reply ended where it called nothing."""
        counts = Counter(str(e.result.status) for e in self.results)
        missing = self.calls - len(self.results)
        said = [f"{count} {status}" for status, count in counts.items()]
        said += [f"{missing} without a result"] if missing > 0 else []
        return ", ".join(said or [str(e.reply.finish) for e in self.replies] or ["no reply"])


def steps_of(events: Iterable[Recorded]) -> list[Step]:
    """The steps, in order; not what begins and ends the run, nor what its user did afterwards."""
    found: dict[int, list[Recorded]] = {}
    for event in events:
        if not isinstance(event, RunStarted | RunFinished | Afterwards):
            found.setdefault(event.step, []).append(event)
    return [Step(number=number, events=tuple(found[number])) for number in sorted(found)]
