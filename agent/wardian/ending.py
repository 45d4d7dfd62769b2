"""How a run ends: its last event, and one sentence on why."""

from dataclasses import asdict

from wardian.events import RunFinished
from wardian.loop import Run
from wardian.types import Message, Role, Stop

MAX_TOLD_CHARS = 500


async def finish(run: Run, stop: Stop, error: str) -> RunFinished:
    """Record the run's end: its last text, its changes to the workspace, what it consumed."""
    left = await run.box.left(run.meter.steps) if stop is not Stop.FAILED else ()
    changes = await run.box.diff() if stop is not Stop.FAILED else ()
    finished = RunFinished(
        stop=stop,
        answer=last_text(run, stop),
        steps=run.meter.steps,
        tool_calls=run.meter.tool_calls,
        usage=run.meter.usage,
        seconds=run.meter.seconds,
        error=error,
        changes=tuple(asdict(change) for change in changes),
        spent=run.meter.ledger.spent.as_json(),
    )
    await run.recorder.record(*left, finished)
    return finished


def last_text(run: Run, stop: Stop) -> str:
    """The answer; of a run that was stopped, what it had written of one, or its last text."""
    if stop in (Stop.TIME, Stop.CANCELLED) and run.recorder.unfinished_text.strip():
        return run.recorder.unfinished_text
    texts = (m.content for m in reversed(run.conversation.messages) if is_text(m))
    return next(texts, "")


def is_text(message: Message) -> bool:
    return message.role is Role.ASSISTANT and bool(message.content) and not message.calls


def why(stop: Stop, run: Run) -> str:
    """One sentence on a stop that is not an answer."""
    match stop:
        case Stop.DONE:
            return ""
        case Stop.STEPS | Stop.TOOL_CALLS | Stop.TOKENS | Stop.COST | Stop.TIME:
            return (run.meter.stopped_by or run.meter.ledger.nearest(stop)).sentence
        case Stop.MALFORMED:
            told = run.conversation.messages[-1].content[:MAX_TOLD_CHARS]
            said = f"{run.meter.strikes} replies in a row could not be used."
            return f"{said} What the model was told last: {told}" if told else said
        case Stop.APPROVAL:
            return run.recorder.open_question
        case Stop.CONTEXT | Stop.CANCELLED | Stop.FAILED:
            return stop.value
