"""Keeps a run's events: applies them, writes them, and passes them to who listens."""

import asyncio
from collections.abc import Callable

from wardian.events import CallDecided, Event, Recorded
from wardian.limits import Meter
from wardian.prompt import Conversation
from wardian.runs import RunLog
from wardian.types import Delta
from wardian_policies.types import Ask

Listener = Callable[[Event], None]


class RunRecorder:
    """Writes before it applies: what the loop has seen, the log has too."""

    def __init__(
        self, log: RunLog | None, conversation: Conversation, meter: Meter, listener: Listener
    ) -> None:
        self._log = log
        self._conversation = conversation
        self._meter = meter
        self._listener = listener
        self.open_question = ""
        """What a person was needed for and nobody could be asked."""

    async def record(self, *events: Recorded, durable: bool = True) -> None:
        """Raises: StorageError; the events then did not happen."""
        if self._log:
            await self._log.append(events, durable=durable)
        for event in events:
            self._conversation.apply(event)
            self._meter.apply(event)
            if isinstance(event, CallDecided):
                self._note_question(event)
            if durable:
                self._listener(event)
            else:
                # After the log's own late write, so that nobody is shown what may yet be lost.
                asyncio.get_running_loop().call_soon(self._listener, event)

    def _note_question(self, event: CallDecided) -> None:
        if isinstance(event.decision, Ask) and event.answer is None:
            self.open_question = event.decision.question

    def show(self, delta: Delta) -> None:
        self._listener(delta)
