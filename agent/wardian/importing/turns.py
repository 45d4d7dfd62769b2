"""A conversation that somebody else recorded, as the events of a run.

What is not said stays unsaid: no policy decided, no sandbox ran, and a result counts as `ok` unless
its source says otherwise.
"""

import json
from collections.abc import Iterator, Mapping
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


def events_of(
    log: Log, run_id: str, imported: Mapping[str, Any]
) -> Iterator[tuple[datetime | None, Recorded]]:
    """The events with when they were, None where that is not known."""
    turns = list(log.turns)
    system, turns = _split(turns, lambda turn: turn.role is Role.SYSTEM)
    earlier, turns = _split(turns, lambda turn: turn.is_copied)
    asked, turns = (turns[:1], turns[1:]) if turns and turns[0].role is Role.USER else ([], turns)
    prefix, turns = _split(turns, lambda turn: turn.is_copied)
    names: dict[str, str] = {}
    first = next((turn.moment for turn in (*asked, *turns) if turn.moment), None)
    task = asked[0] if asked else Turn(role=Role.USER, content="")
    yield (
        first,
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
    step, calls, usage, last = 0, 0, Usage(), Turn(role=Role.USER, content="")
    for turn in turns:
        if turn.role is Role.ASSISTANT:
            step += 1
            calls, usage, last = calls + len(turn.calls), usage + turn.usage, turn
            yield turn.moment, ModelAsked(step=step, sampling={})
        if turn.role is Role.TOOL:
            name = names.get(turn.call_id, "")
            yield turn.moment, _began(turn.call_id, name, max(step, 1))
        yield turn.moment, _event(turn, max(step, 1), names)
    stop = log.stop or (None if last.calls or last.role is Role.USER else Stop.DONE)
    if stop:
        end = next((turn.moment for turn in reversed(turns) if turn.moment), first)
        yield (
            end,
            RunFinished(
                stop=stop,
                answer=last.content,
                steps=step,
                tool_calls=calls,
                usage=usage,
                seconds=0.0,
            ),
        )
    for event in log.more:
        yield None, event


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


def _split(turns: list[Turn], is_first: Any) -> tuple[list[Turn], list[Turn]]:
    """Those at the beginning of which it holds, and the others."""
    count = next((i for i, turn in enumerate(turns) if not is_first(turn)), len(turns))
    return turns[:count], turns[count:]


def _began(call_id: str, name: str, step: int) -> CallStarted:
    return CallStarted(step=step, call_id=call_id, name=name, repeatable=False)


def _event(turn: Turn, step: int, names: dict[str, str]) -> Recorded:
    if turn.role is Role.ASSISTANT:
        finish = Finish.CALLS if turn.calls else Finish.STOP
        reply = Reply(
            message=_message(turn, names),
            finish=finish,
            usage=turn.usage,
            model=turn.model,
            tokens=turn.tokens,
        )
        return ModelReplied(step=step, reply=reply, seconds=0.0)
    if turn.role is Role.TOOL:
        result = ToolResult(
            call_id=turn.call_id,
            name=names.get(turn.call_id, ""),
            status=turn.status,
            content=turn.content,
        )
        return CallFinished(step=step, result=result)
    return Noted(step=step, text=turn.content)


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
