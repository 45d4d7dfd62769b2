"""Keeps a run's events: applies them, writes them, and passes them to who listens."""

import asyncio
from collections.abc import Callable, Iterable

from wardian.events import (
    CallDecided,
    EgressDecided,
    Event,
    ModelAsked,
    ModelReplied,
    Recorded,
    RunFinished,
)
from wardian.limits import Meter
from wardian.prompt import Conversation
from wardian.runs import RunLog
from wardian.types import Delta, TextDelta
from wardian_policies.types import Ask
from wardian_sandbox.types import EgressEvent

Listener = Callable[[Event], None]


class RunRecorder:
    """Writes before it applies: what the loop has seen, the log has too."""

    def __init__(
        self, log: RunLog | None, conversation: Conversation, meter: Meter, listener: Listener
    ) -> None:
        self._log = log
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

    async def record(self, *events: Recorded, durable: bool = True) -> None:
        """Raises: StorageError; the events then did not happen."""
        self._is_over |= any(isinstance(event, RunFinished) for event in events)
        if self._log:
            await self._log.append(events, durable=durable)
        for event in events:
            self.conversation.apply(event)
            self.meter.apply(event)
            if isinstance(event, ModelAsked | ModelReplied):
                self._text.clear()
            if isinstance(event, CallDecided):
                self._note_question(event)
            if durable or not self._log:
                self._listener(event)
            else:
                # After the log's own late write, so that nobody is shown what may yet be lost.
                asyncio.get_running_loop().call_soon(self._listener, event)

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
        if isinstance(delta, TextDelta):
            self._text.append(delta.text)
        self._listener(delta)
