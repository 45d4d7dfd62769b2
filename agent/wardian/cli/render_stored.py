"""Shows a stored run in whole lines, and says of which calls no result is recorded."""

from collections.abc import Sequence
from typing import TextIO

from wardian.cli import preview
from wardian.cli.render import PlainRenderer, unanswered
from wardian.cli.terminal import Terminal
from wardian.events import CallDecided, CallFinished, CallStarted, Event, ModelReplied, Recorded


class StoredRenderer(PlainRenderer):
    """Knows all events before it shows the first."""

    def __init__(self, screen: Terminal, stream: TextIO, events: Sequence[Recorded]) -> None:
        super().__init__(screen, stream)
        self.finished = {(e.step, e.result.call_id) for e in events if isinstance(e, CallFinished)}
        self.told = self.finished | {
            (e.step, e.call_id) for e in events if isinstance(e, CallStarted)
        }
        self.told |= {
            (e.step, e.call.id) for e in events if isinstance(e, CallDecided) and unanswered(e)
        }

    def on(self, event: Event) -> None:
        super().on(event)
        match event:
            case ModelReplied(step=step, reply=reply):
                for call in reply.message.calls:
                    if (step, call.id) not in self.told:
                        self._show_call(call, step)
                        self._say_no_result(step, call.problem or "")
            case CallStarted(step=step, call_id=call_id):
                if (step, call_id) not in self.finished:
                    self._say_no_result(step, "")
            case _:
                pass

    def _say_no_result(self, step: int, problem: str) -> None:
        first, *rest = preview.first_lines(problem, preview.RESULT_LINES)
        self.say(f"[{step}] {self.arrow} no result{f': {first}' if first else ''}")
        for line in rest:
            self.say(f"[{step}]   {line}")
