"""What is known of a run once it is over."""

from dataclasses import dataclass
from pathlib import Path

from wardian.errors import ExitCode
from wardian.events import CallDecided, Event, RunFinished, RunStarted
from wardian.results import EXIT_CODES
from wardian.types import Stop
from wardian_policies.types import Ask


@dataclass(slots=True)
class Outcome:
    """Filled in while the run goes on; complete whether or not it ended well."""

    started: RunStarted | None = None
    finished: RunFinished | None = None
    path: Path | None = None
    """The trajectory"""
    unanswered: CallDecided | None = None
    """The call that needed a person's yes when there was nobody to ask"""
    signal: int = 0
    """The signal that stopped it, if one did"""

    def note(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.started = event
            case CallDecided(decision=Ask(), answer=None):
                self.unanswered = event
            case RunFinished():
                self.finished = event
            case _:
                pass

    @property
    def exit_code(self) -> int:
        if self.signal:
            return 128 + self.signal
        return EXIT_CODES[self.finished.stop] if self.finished else ExitCode.NOT_ACHIEVED

    @property
    def stop(self) -> Stop:
        return self.finished.stop if self.finished else Stop.FAILED

    @property
    def answer(self) -> str:
        return self.finished.answer if self.finished else ""

    @property
    def is_done(self) -> bool:
        return self.finished is not None and self.finished.stop is Stop.DONE


class RunBroke(Exception):
    """An error ended the run (it is the `__cause__`); `outcome` is what there was until then."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("the run ended with an error")
        self.outcome = outcome
