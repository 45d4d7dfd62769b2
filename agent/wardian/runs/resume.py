"""What a stored run still has to do, read off its events."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from wardian.errors import ConfigurationError
from wardian.events import (
    CallStarted,
    ModelReplied,
    Noted,
    Recorded,
    RunResumed,
    RunStarted,
    SandboxOpened,
    WorkspaceSaved,
)
from wardian.prompt import Conversation
from wardian.runs.trajectory import Trajectory
from wardian.types import Finish, Reply, Stop
from wardian_tools.types import ToolCall

INTERPRETER = "python"
"""The tool whose state lives as long as its box"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertain:
    """A call that began and has no result: nobody knows whether it took effect."""

    started: CallStarted
    call: ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """Where a run stopped."""

    run_id: str
    lines: int
    """Of the log, without a torn one"""
    started: RunStarted
    events: tuple[Recorded, ...]
    uncertain: tuple[Uncertain, ...]
    last: Reply | None
    """The last reply if something of it is still to be done, with the calls that have no result"""
    state: int | None
    """The workspace's last state that was kept"""
    lost_state: bool
    """Python code had run in an interpreter that is no more"""

    @classmethod
    def of(cls, trajectory: Trajectory) -> "Continuation":
        """Raises: ConfigurationError where nothing is left to do, or its beginning is damaged."""
        started, finished = trajectory.started, trajectory.finished
        if started is None:
            raise ConfigurationError(
                f"Run {trajectory.run_id} cannot be resumed: its first event cannot be read.",
                "`agent runs show` prints what can.",
            )
        check_ours(trajectory)
        if finished and finished.stop is Stop.DONE:
            raise ConfigurationError(
                f"Run {trajectory.run_id} has its answer; there is nothing to resume.",
                f"`agent fork {trajectory.run_id} --at K` goes on differently from step K.",
            )
        events = trajectory.events
        saved = [event.state for event in events if isinstance(event, WorkspaceSaved)]
        return cls(
            run_id=trajectory.run_id,
            lines=trajectory.lines,
            started=started,
            events=events,
            uncertain=tuple(uncertain_calls(trajectory)),
            last=unfinished_reply(events),
            state=saved[-1] if saved else None,
            lost_state=ran_python(events),
        )


def check_ours(trajectory: Trajectory) -> None:
    """Raises: ConfigurationError for a run that was done elsewhere."""
    if trajectory.started and "imported" in trajectory.started.settings:
        raise ConfigurationError(
            f"Run {trajectory.run_id} was imported: its tools and its workspace are not here.",
            "`agent runs show` shows it; give its task to `agent run` to do it here.",
        )


def uncertain_calls(trajectory: Trajectory) -> list[Uncertain]:
    """Calls that began and have no result, with their arguments."""
    replies = (e.reply for e in reversed(trajectory.events) if isinstance(e, ModelReplied))
    last = next(replies, None)
    calls = {call.id: call for call in last.message.calls} if last else {}
    return [
        Uncertain(started=started, call=calls[started.call_id])
        for started in trajectory.uncertain
        if started.call_id in calls
    ]


def unfinished_reply(events: Iterable[Recorded]) -> Reply | None:
    """The last reply, if it was not acted on to its end."""
    conversation, last, is_told = Conversation(), None, False
    for event in events:
        conversation.apply(event)
        if isinstance(event, ModelReplied):
            last, is_told = event.reply, False
        elif isinstance(event, Noted):
            is_told = True
    if last is None or is_told:
        return None
    if not last.message.calls or last.finish in (Finish.LENGTH, Finish.CUT):
        return last
    waiting = tuple(call for call in last.message.calls if call.id in conversation.pending)
    return replace(last, message=replace(last.message, calls=waiting)) if waiting else None


def ran_python(events: Iterable[Recorded]) -> bool:
    """Has code run in the interpreter of the last box?"""
    ran = False
    for event in events:
        match event:
            case SandboxOpened() | RunResumed():
                ran = False
            case CallStarted(name=name):
                ran |= name == INTERPRETER
            case _:
                pass
    return ran
