"""The documented rules for files that OpenAI fine-tunes on.

Source: OpenAI, "Supervised fine-tuning: formatting your data", "Function calling"; the checks of
openai-cookbook, "Data preparation and analysis for chat model fine-tuning"; the API reference's
`FineTuneChatRequestInput`, `Tool`, `ChatCompletionMessageToolCall`. Not checked: the length of a
row in tokens, and that a file has ten rows or more.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ROW_KEYS = {"messages", "tools", "parallel_tool_calls"}
MESSAGE_KEYS = {"role", "content", "name", "tool_calls", "tool_call_id", "weight"}
MAX_TOOLS = 128
MAX_IMAGES, MAX_IMAGE_BYTES = 10, 10 << 20


def broken_rules(content: bytes) -> list[str]:
    """What of the rules a file breaks, a sentence each; empty for a good one."""
    found: list[str] = []
    for number, line in enumerate(content.decode("utf-8").splitlines(), start=1):
        try:
            row: Any = json.loads(line)
        except ValueError:
            found.append(f"row {number}: no JSON")
            continue
        found += (f"row {number}: {rule}" for rule in _of_row(row))
    return found


def _of_row(row: Any) -> Iterator[str]:
    if not isinstance(row, dict):
        yield "no object"
        return
    if unknown := row.keys() - ROW_KEYS:
        yield f"unknown keys {sorted(unknown)}"
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        yield "no messages"
        return
    tools = row.get("tools", [])
    yield from _of_tools(tools)
    if "parallel_tool_calls" in row and not tools:
        yield "parallel_tool_calls without tools"
    if not any(message.get("role") == "assistant" for message in messages):
        yield "no reply to learn"
    if messages[-1].get("role") != "assistant":
        yield "a reply is not last"
    offered = {tool.get("function", {}).get("name") for tool in tools}
    yield from _of_messages(messages, offered)


def _of_tools(tools: Any) -> Iterator[str]:
    if len(tools) > MAX_TOOLS:
        yield "too many tools"
    for tool in tools:
        function = tool.get("function", {})
        if tool.get("type") != "function" or not NAME.fullmatch(function.get("name", "")):
            yield "a tool without a type or a name"
        if function.keys() - {"name", "description", "parameters", "strict"}:
            yield "a tool with unknown keys"
        if function.get("parameters", {}).get("type") != "object":
            yield "a tool whose parameters are no object"


def _of_messages(messages: list[dict[str, Any]], offered: set[str]) -> Iterator[str]:
    open_calls: set[str] = set()
    seen: set[str] = set()
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if message.keys() - MESSAGE_KEYS:
            yield f"a message with unknown keys {sorted(message.keys() - MESSAGE_KEYS)}"
        if role not in ("system", "user", "assistant", "tool"):
            yield f"an unknown role {role}"
        if role != "tool" and open_calls:
            yield "a call without its result"
            open_calls = set()
        if content is None and not (role == "assistant" and message.get("tool_calls")):
            yield "no content"
        if isinstance(content, list):
            yield from _of_parts(role, content)
        elif content is not None and not isinstance(content, str):
            yield "content that is no text"
        for call in message.get("tool_calls", []):
            yield from _of_call(call, offered, seen)
            open_calls.add(call["id"])
            seen.add(call["id"])
        if role == "tool":
            if message.get("tool_call_id") not in open_calls:
                yield "a result of no call"
            open_calls.discard(str(message.get("tool_call_id")))
    if open_calls and messages[-1].get("role") != "assistant":
        yield "a call without its result"


def _of_call(call: dict[str, Any], offered: set[str], seen: set[str]) -> Iterator[str]:
    if call.keys() != {"id", "type", "function"} or call["type"] != "function":
        yield "a call of another shape"
    if call["id"] in seen:
        yield "two calls with one id"
    if call["function"]["name"] not in offered:
        yield "a call of no tool that was offered"
    try:
        if not isinstance(json.loads(call["function"]["arguments"]), dict):
            yield "arguments that are no object"
    except (TypeError, ValueError):
        yield "arguments that are no JSON"


def _of_parts(role: Any, parts: list[dict[str, Any]]) -> Iterator[str]:
    images = [part for part in parts if part.get("type") == "image_url"]
    if images and role != "user":
        yield "a picture that no user sent"
    if len(images) > MAX_IMAGES:
        yield "too many pictures"
    for image in images:
        url = image["image_url"]["url"]
        if not url.startswith(("https://", "data:image/")) or len(url) * 3 // 4 > MAX_IMAGE_BYTES:
            yield "a picture that is none, or too large"
    if any(part.get("type") not in ("text", "image_url") for part in parts):
        yield "a part of an unknown type"
