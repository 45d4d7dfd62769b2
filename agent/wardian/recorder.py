"""Keeps a run's events: applies them, writes them, and passes them to who listens."""

import asyncio
from collections.abc import Callable, Iterable

from wardian.errors import StorageError
from wardian.events import (
    CallDecided,
    EgressDecided,
    Event,
    ModelAsked,
    ModelReplied,
    Recorded,
    RunFinished,
)
from wardian.flow import FlowLabels
from wardian.limits import Meter
from wardian.privacy import Screen
from wardian.prompt import Conversation
from wardian.runs import RunLog
from wardian.types import Delta, TextDelta
from wardian_policies.types import Ask
from wardian_sandbox.types import EgressEvent

Listener = Callable[[Event], None]


class RunRecorder:
    """Writes before it applies: what the loop has seen, the log has too."""

    def __init__(
        self,
        log: RunLog | None,
        conversation: Conversation,
        meter: Meter,
        listener: Listener,
        screen: Screen,
    ) -> None:
        self._log = log
        self.screen = screen
        self.labels = FlowLabels()
        self.conversation = conversation
        self.meter = meter
        self._listener = listener
        self._is_over = False
        self._egress: set[asyncio.Task[None]] = set()
        self.open_question = ""
        """What a person was needed for and nobody could be asked."""
        self._text: list[str] = []

    def recall(self, events: Iterable[Recorded]) -> None:
        """Apply what the log holds already."""
        for event in events:
            self.conversation.apply(event)
            self.meter.apply(event)
            self.labels.apply(event)

    async def record(self, *events: Recorded, durable: bool = True) -> None:
        """Raises: StorageError; the events then did not happen."""
        events = self._hidden(events)
        self._is_over |= any(isinstance(event, RunFinished) for event in events)
        if self._log:
            await self._log.append(events, durable=durable)
        for event in events:
            self.conversation.apply(event)
            self.meter.apply(event)
            self.labels.apply(event)
            if isinstance(event, ModelAsked | ModelReplied):
                self._flush()
                self._text.clear()
            if isinstance(event, CallDecided):
                self._note_question(event)
            shown = self.screen.shown(event)
            if durable or not self._log:
                self._listener(shown)
            else:
                # After the log's own late write, so that nobody is shown what may yet be lost.
                asyncio.get_running_loop().call_soon(self._listener, shown)

    def note_egress(self, egress: EgressEvent) -> None:
        """Record what the sandbox's proxy decided. For use on the event loop."""
        task = asyncio.create_task(self._record_egress(egress))
        self._egress.add(task)
        task.add_done_callback(self._noted)

    async def _record_egress(self, egress: EgressEvent) -> None:
        if not self._is_over:  # closing the sandbox cuts off what is still open
            event = EgressDecided(step=self.meter.steps, egress=egress)
            await self.record(event, durable=False)

    def _noted(self, task: asyncio.Task[None]) -> None:
        self._egress.discard(task)
        if not task.cancelled():
            task.exception()  # seen; a log that cannot be written says so at the next event too

    def _note_question(self, event: CallDecided) -> None:
        if isinstance(event.decision, Ask) and event.answer is None:
            self.open_question = event.decision.question

    @property
    def unfinished_text(self) -> str:
        """What there is of a reply that has not ended."""
        return "".join(self._text)

    def show(self, delta: Delta) -> None:
        for ready in self.screen.delta(delta):
            self._pass_on(ready)

    def _flush(self) -> None:
        for rest in self.screen.flush():
            self._pass_on(rest)

    def _pass_on(self, delta: Delta) -> None:
        if isinstance(delta, TextDelta):
            self._text.append(delta.text)
        self._listener(delta)

    def _hidden(self, events: tuple[Recorded, ...]) -> tuple[Recorded, ...]:
        """What may be kept of the events. Raises: StorageError."""
        try:
            return tuple(self.screen.hidden(event) for event in events)
        except OSError as error:
            raise StorageError(
                f"The pseudonyms of the run cannot be kept: {error.strerror or error}.",
                "Free space, or choose another place with WARDIAN_HOME.",
            ) from error
