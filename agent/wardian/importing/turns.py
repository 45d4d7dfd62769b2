"""A conversation that somebody else recorded, as the events of a run.

What is not said stays unsaid: no policy decided, no sandbox ran, and a result counts as `ok` unless
its source says otherwise. A result that answers no call of the reply before it becomes a note.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from wardian._version import __version__
from wardian.events import (
    CallFinished,
    CallStarted,
    ModelAsked,
    ModelReplied,
    Noted,
    Recorded,
    RunFinished,
    RunStarted,
)
from wardian.types import (
    Finish,
    Image,
    ImageData,
    Message,
    Reply,
    Role,
    Stop,
    Task,
    TokenRecord,
    Usage,
)
from wardian_tools.types import ResultStatus, ToolCall, ToolResult

MAX_NAME_CHARS = 200
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
NOT_HERE = "(an attachment that was not imported)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message, whichever file it comes from."""

    role: Role
    content: str
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    images: tuple[Image, ...] = ()
    call_id: str = ""
    """Of a result: the call it answers"""
    status: ResultStatus = ResultStatus.OK
    is_copied: bool = False
    """It was said in an earlier run, and stands here as what this one goes on from"""
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    tokens: TokenRecord | None = None
    moment: datetime | None = None
    """None where the source does not say"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A run that somebody else recorded."""

    turns: tuple[Turn, ...]
    model: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    tags: tuple[str, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Names and ids that it had there"""
    stop: Stop | None = None
    """As its source says; None: done if its last reply has no call"""
    more: tuple[Recorded, ...] = ()
    """What stands behind its end: ratings, labels"""


Dated = tuple[datetime | None, Recorded]
"""An event with when it was; None where that is not known"""


def events_of(log: Log, run_id: str, imported: Mapping[str, Any]) -> Iterator[Dated]:
    """The events of the run. `imported` says where it comes from."""
    system, turns = _split(log.turns, lambda turn: turn.role is Role.SYSTEM)
    earlier, turns = _split(turns, lambda turn: turn.is_copied)
    has_task = bool(turns) and turns[0].role is Role.USER
    task = turns[0] if has_task else Turn(role=Role.USER, content="")
    prefix, turns = _split(turns[has_task:], lambda turn: turn.is_copied)
    names: dict[str, str] = {}
    moments = [turn.moment for turn in (task, *turns) if turn.moment]
    yield (
        moments[0] if moments else None,
        RunStarted(
            run_id=run_id,
            task=Task(prompt=task.content, images=task.images),
            system_prompt="\n\n".join(turn.content for turn in system),
            model={"name": log.model, "is_local": False},
            tools=log.tools,
            policy={},
            sandbox={},
            workspace="",
            wardian_version=__version__,
            earlier=tuple(_message(turn, names) for turn in earlier),
            prefix=tuple(_message(turn, names) for turn in prefix),
            tags=log.tags,
            settings={"imported": dict(imported)},
        ),
    )
    yield from _pursued(turns, names)
    if finished := _finished(turns, log.stop):
        yield None, finished
    for event in log.more:
        yield None, event


def _pursued(turns: Sequence[Turn], names: dict[str, str]) -> Iterator[Dated]:
    step = 0
    waiting: set[str] = set()
    for turn in turns:
        at = turn.moment
        if turn.role is Role.ASSISTANT:
            step += 1
            waiting = {call.id for call in turn.calls}
            yield at, ModelAsked(step=step, sampling={})
            yield at, _replied(turn, step, names)
        elif turn.call_id in waiting:
            waiting.remove(turn.call_id)
            name = names[turn.call_id]
            yield at, CallStarted(step=step, call_id=turn.call_id, name=name, repeatable=False)
            yield at, CallFinished(step=step, result=_result(turn, name))
        else:
            yield at, Noted(step=max(step, 1), text=turn.content)


def _finished(turns: Sequence[Turn], said: Stop | None) -> RunFinished | None:
    """Done if the last of them is a reply without a call, where the source does not say."""
    replies = [turn for turn in turns if turn.role is Role.ASSISTANT]
    is_done = bool(turns) and turns[-1].role is Role.ASSISTANT and not turns[-1].calls
    stop = said or (Stop.DONE if is_done else None)
    if stop is None:
        return None
    return RunFinished(
        stop=stop,
        answer=replies[-1].content if replies else "",
        steps=len(replies),
        tool_calls=sum(len(turn.calls) for turn in replies),
        usage=sum((turn.usage for turn in replies), Usage()),
        seconds=0.0,
    )


def call_of(call_id: str, name: str, written: object) -> ToolCall:
    """A call with arguments as text or as an object; one that cannot be read keeps its text."""
    text = written if isinstance(written, str) else json.dumps(written, ensure_ascii=False)
    try:
        loaded: object = json.loads(text) if isinstance(written, str) else written
    except (ValueError, RecursionError):
        loaded = None
    given = cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else None
    return ToolCall(
        id=call_id,
        name=name[:MAX_NAME_CHARS],
        arguments_text=text,
        arguments=given,
        problem=None if given is not None else "The arguments were no JSON object.",
    )


def tool_of(definition: object) -> dict[str, Any] | None:
    """What a model was told of a tool, from OpenAI's form or a function alone; None for others."""
    if not isinstance(definition, dict):
        return None
    table = cast("dict[str, Any]", definition)
    inner = table.get("function", table)
    function: dict[str, Any] = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
    name, parameters = function.get("name"), function.get("parameters")
    if not isinstance(name, str):
        return None
    return {
        "name": name[:MAX_NAME_CHARS],
        "description": str(function.get("description") or ""),
        "parameters": parameters if isinstance(parameters, dict) else {"type": "object"},
        "effects": [],
    }


def image_of(url: object) -> Image | None:
    """A picture that stands in the row itself; None for one that lies elsewhere."""
    head, _, data = url.partition(";base64,") if isinstance(url, str) else ("", "", "")
    mime = head.removeprefix("data:")
    if not head.startswith("data:") or mime not in IMAGES or not data.isascii():
        return None
    return Image(mime=mime, data=ImageData(data))


def _split(
    turns: Sequence[Turn], is_first: Callable[[Turn], bool]
) -> tuple[Sequence[Turn], Sequence[Turn]]:
    """Those at the beginning of which it holds, and the others."""
    count = next((i for i, turn in enumerate(turns) if not is_first(turn)), len(turns))
    return turns[:count], turns[count:]


def _replied(turn: Turn, step: int, names: dict[str, str]) -> ModelReplied:
    reply = Reply(
        message=_message(turn, names),
        finish=Finish.CALLS if turn.calls else Finish.STOP,
        usage=turn.usage,
        model=turn.model,
        tokens=turn.tokens,
    )
    return ModelReplied(step=step, reply=reply, seconds=0.0)


def _result(turn: Turn, name: str) -> ToolResult:
    return ToolResult(call_id=turn.call_id, name=name, status=turn.status, content=turn.content)


def _message(turn: Turn, names: dict[str, str]) -> Message:
    names |= {call.id: call.name for call in turn.calls}
    return Message(
        role=turn.role,
        content=turn.content,
        reasoning=turn.reasoning,
        calls=turn.calls,
        images=turn.images,
        call_id=turn.call_id,
        name=names.get(turn.call_id, "") if turn.role is Role.TOOL else "",
    )
