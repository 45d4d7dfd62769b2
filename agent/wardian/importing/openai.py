"""OpenAI-style messages: a list of them, a row with `messages` and `tools`, a request and a reply.

Also reads the older `functions` and `function_call`. A later system or user message becomes a note,
which a model reads as a user's message.
Source: OpenAI, API reference, "Chat Completions"; fine-tuning, "Preparing your dataset".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from wardian.events import Labelled, Recorded
from wardian.importing.reading import Unreadable
from wardian.importing.turns import NOT_HERE, Log, Turn, call_of, image_of, tool_of
from wardian.types import Image, Role, Usage
from wardian_tools.types import ToolCall

ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}
LATEST = 253_402_300_000
"""The last second a date can name, nearly"""
REASONING = ("reasoning_content", "reasoning")


def openai_log(row: object) -> Log:
    """Raises: Unreadable."""
    table = cast("dict[str, Any]", row) if isinstance(row, dict) else {"messages": row}
    request = _dict(table.get("request")) or table
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Unreadable("it has no messages")
    answered = _dict(table.get("response")) or table
    moment = _moment(answered.get("created"))
    turns: list[Turn] = []
    for message in cast("list[object]", messages):
        turns.append(_turn(message, turns))
    if choices := answered.get("choices"):
        first = _dict(cast("list[object]", choices)[0]) if isinstance(choices, list) else {}
        turns.append(_turn(first.get("message"), turns, _usage(answered), moment))
    if not any(turn.role is Role.ASSISTANT for turn in turns):
        raise Unreadable("nobody replies in it")
    tools = request.get("tools") or request.get("functions")
    offered = cast("list[object]", tools) if isinstance(tools, list) else []
    ids = {key: str(table[key]) for key in ("id", "custom_id") if key in table}
    return Log(
        turns=tuple(turns),
        model=str(answered.get("model") or request.get("model") or ""),
        tools=tuple(filter(None, map(tool_of, offered))),
        origin=ids,
        more=tuple(_reward(table)),
    )


def _turn(
    message: object, before: list[Turn], usage: Usage | None = None, moment: datetime | None = None
) -> Turn:
    table = _dict(message)
    role = ROLES.get(str(table.get("role")))
    if role is None:
        raise Unreadable("a message has no role that is known")
    content, images = _content(table.get("content"))
    if role is Role.ASSISTANT:
        content = content or str(table.get("refusal") or "")
    reasoning = next((str(table[key]) for key in REASONING if table.get(key)), "")
    return Turn(
        role=role,
        content=content,
        reasoning=reasoning if role is Role.ASSISTANT else "",
        calls=tuple(_calls(table, len(before))) if role is Role.ASSISTANT else (),
        images=images if role is Role.USER else (),
        call_id=_answered(table, before) if role is Role.TOOL else "",
        usage=usage or Usage(),
        moment=moment,
    )


def _content(content: object) -> tuple[str, tuple[Image, ...]]:
    if not isinstance(content, list):
        return ("" if content is None else str(content)), ()
    texts: list[str] = []
    images: list[Image] = []
    for part in map(_dict, cast("list[object]", content)):
        match part.get("type"):
            case "text" | "input_text" | "output_text" | "refusal":
                texts.append(str(part.get("text") or part.get("refusal") or ""))
            case "image_url":
                image = image_of(_dict(part.get("image_url")).get("url"))
                images.extend([image] if image else [])
                texts.extend([] if image else [NOT_HERE])
            case _:
                texts.append(NOT_HERE)
    return "\n".join(texts), tuple(images)


def _calls(table: Mapping[str, Any], place: int) -> list[ToolCall]:
    listed = table.get("tool_calls")
    calls = map(_dict, cast("list[object]", listed) if isinstance(listed, list) else [])
    found: list[ToolCall] = []
    for index, call in enumerate(calls):
        function = _dict(call.get("function")) or _dict(call.get("custom"))
        written = function.get("arguments", function.get("input", ""))
        call_id = str(call.get("id") or f"call_{place}_{index}")
        found.append(call_of(call_id, str(function.get("name") or ""), written))
    if old := _dict(table.get("function_call")):
        name = str(old.get("name") or "")
        found.append(call_of(f"call_{place}_f", name, old.get("arguments", "")))
    return found


def _answered(table: Mapping[str, Any], before: list[Turn]) -> str:
    """The call that a result answers: the one it names, or the last that has no answer yet."""
    if named := table.get("tool_call_id"):
        return str(named)
    done = {turn.call_id for turn in before}
    asked = [call.id for turn in before for call in turn.calls if call.id not in done]
    return asked[0] if asked else ""


def _usage(answered: Mapping[str, Any]) -> Usage:
    usage = _dict(answered.get("usage"))
    details = _dict(usage.get("prompt_tokens_details"))
    return Usage(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_count(details.get("cached_tokens")),
    )


def _reward(table: Mapping[str, Any]) -> list[Recorded]:
    value = table.get("reward")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return [Labelled(name="reward", value=str(value))] if is_number else []


def _moment(seconds: object) -> datetime | None:
    """Of seconds since 1970."""
    if not isinstance(seconds, int | float) or not 0 < seconds < LATEST:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 53 else 0


def _dict(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
