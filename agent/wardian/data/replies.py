"""A run's replies with what stood before each, as messages."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wardian.events import ModelReplied, RunStarted
from wardian.export.messages import openai, tools
from wardian.prompt import Conversation
from wardian.runs.trajectory import Trajectory
from wardian.types import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One reply and the messages that the model was shown before it."""

    step: int
    prompt: tuple[Message, ...]
    reply: Message


def replies(run: Trajectory) -> Iterator[Shown]:
    conversation = Conversation()
    for event in run.events:
        if isinstance(event, ModelReplied):
            shown = tuple(conversation.messages)
            yield Shown(step=event.step, prompt=shown, reply=event.reply.message)
        conversation.apply(event)


def said(run: Trajectory) -> str:
    """What was asked and what the model wrote, without what it was told in between."""
    return "\n".join(_said(run))


def do_the_same(one: Message, other: Message) -> bool:
    """Do both replies make the same calls? Then it is not for what they do that one was better."""
    return bool(one.calls) and _acts(one) == _acts(other)


def prompt_text(run: Trajectory) -> str:
    """All that the model was shown before its first reply, tools included."""
    first = next(replies(run), None)
    return json.dumps([openai(first.prompt) if first else [], tools(run)], sort_keys=True)


def _said(run: Trajectory) -> Iterator[str]:
    for event in run.events:
        match event:
            case RunStarted(task=task):
                yield task.prompt
            case ModelReplied(reply=reply):
                yield reply.message.content
                yield from (f"{call.name} {call.arguments_text}" for call in reply.message.calls)
            case _:
                pass


def _acts(message: Message) -> Sequence[tuple[str, str]]:
    return [
        (call.name, json.dumps(call.arguments, sort_keys=True, default=str))
        for call in message.calls
    ]
