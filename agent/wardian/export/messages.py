"""Messages and tools as OpenAI's and TRL's rows spell them.

Tools are sorted by name, for their order is part of the prompt, and hold name, description and
parameters only. Arguments are what the model wrote; where its JSON needed mending, what the tool
was given. Reasoning is left out: no two trainers spell it alike.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Never, cast

from wardian.export.rows import Row, Unfit
from wardian.runs.trajectory import Trajectory
from wardian.types import Message, Role
from wardian_tools.types import ToolCall


def tools(run: Trajectory) -> list[Row]:
    """The tools that the model was offered."""
    offered = run.started.tools if run.started else ()
    return [
        {
            "type": "function",
            "function": {key: tool[key] for key in ("name", "description", "parameters")},
        }
        for tool in sorted(offered, key=lambda tool: str(tool["name"]))
    ]


def arguments(call: ToolCall) -> Row | None:
    """As an object; None for a malformed call."""
    if call.problem is not None:
        return None
    try:
        written: object = json.loads(call.arguments_text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        written = None
    return cast("Row", written) if isinstance(written, dict) else call.arguments


def until_last_reply(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Without what follows the last reply. Raises: Unfit where there is none."""
    kept = list(messages)
    while kept and kept[-1].role is not Role.ASSISTANT:
        kept.pop()
    if not kept:
        raise Unfit("it has no reply")
    return tuple(kept)


def openai(messages: Iterable[Message]) -> list[Row]:
    """Chat messages; calls are numbered through, since ids may repeat from step to step."""
    rows: list[Row] = []
    ids: dict[str, str] = {}
    count = 0
    for message in messages:
        row: Row = {"role": message.role.value, "content": message.content}
        if message.role is Role.TOOL:
            call_id = ids.get(message.call_id, message.call_id)
            row = {"role": "tool", "tool_call_id": call_id, "content": message.content}
        elif message.images:
            row["content"] = _parts(message)
        elif message.calls:
            row["content"] = message.content or None
            ids |= {call.id: f"call_{count + i}" for i, call in enumerate(message.calls)}
            count += len(message.calls)
            row["tool_calls"] = [_openai_call(ids[call.id], call) for call in message.calls]
        rows.append(row)
    return rows


def trl(messages: Iterable[Message]) -> list[Row]:
    """Messages for TRL: arguments are objects and nothing is None, which arrow would spread.

    Raises: Unfit for a malformed call or an image.
    """
    return [_trl(message) for message in messages]


def without_nulls(value: object) -> Any:
    """The value without the keys that say nothing."""
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, Any]", value).items()
        return {key: without_nulls(item) for key, item in pairs if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in cast("list[object]", value)]
    return value


def _trl(message: Message) -> Row:
    if message.images:
        raise Unfit("it has an image")
    if message.role is Role.TOOL:
        return {"role": "tool", "name": message.name, "content": message.content}
    row: Row = {"role": message.role.value, "content": message.content}
    if message.calls:
        row["tool_calls"] = [
            {
                "type": "function",
                "function": {"name": call.name, "arguments": without_nulls(well_formed(call))},
            }
            for call in message.calls
        ]
    return row


def well_formed(call: ToolCall) -> Row:
    """Its arguments. Raises: Unfit."""
    given = arguments(call)
    if given is None:
        raise Unfit("it has a malformed call")
    return given


def _openai_call(call_id: str, call: ToolCall) -> Row:
    given = arguments(call)
    text = call.arguments_text if given is None else json.dumps(given, ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": text}}


def _parts(message: Message) -> list[Row]:
    urls = (f"data:{image.mime};base64,{image.data}" for image in message.images)
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"type": "text", "text": message.content}, *images]


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")
