"""What a server answered, as a model sees it: bounded, and trusted in nothing."""

from typing import Any

from wardian_tools.calls import bounded, canonical_json
from wardian_tools.mcp.definitions import plain
from wardian_tools.types import Confidentiality, Output, ResultStatus

MAX_CHARS = 200_000
"""Put together of an answer; the model sees less."""
MAX_STRUCTURED_CHARS = 65_536
MAX_PARTS = 1_000
MAX_LISTED = 500


def output_of(result: Any, confidentiality: Confidentiality) -> Output:
    """A `CallToolResult` as an output."""
    parts = [_part(block) for block in result.content[:MAX_PARTS]]
    data = _structured(result.structured_content)
    if not parts and data:
        parts = [canonical_json(data["structured"])]
    if len(result.content) > MAX_PARTS:
        parts.append(f"[{len(result.content) - MAX_PARTS} parts left out]")
    return Output(
        content=bounded("\n".join(parts), MAX_CHARS) or "(no output)",
        status=ResultStatus.ERROR if result.is_error else ResultStatus.OK,
        confidentiality=confidentiality,
        data=data,
    )


def resource_output(result: Any, confidentiality: Confidentiality) -> Output:
    """A `ReadResourceResult` as an output."""
    parts = [_resource(item) for item in result.contents[:MAX_PARTS]]
    content = bounded("\n".join(parts), MAX_CHARS) or "(empty)"
    return Output(content=content, confidentiality=confidentiality)


def resource_list(resources: list[Any], confidentiality: Confidentiality) -> Output:
    """What there is to read: one line each."""
    lines = [
        f"{item.uri}: {plain(item.description or item.title or item.name)}"
        for item in resources[:MAX_LISTED]
    ]
    if len(resources) > MAX_LISTED:
        lines.append(f"[{len(resources) - MAX_LISTED} more not shown]")
    content = bounded("\n".join(lines), MAX_CHARS) or "(no resources)"
    return Output(content=content, confidentiality=confidentiality)


def prompt_text(result: Any) -> str:
    """The messages of a `GetPromptResult` as one text."""
    return bounded("\n\n".join(_part(message.content) for message in result.messages), MAX_CHARS)


def prompt_lines(prompts: list[Any]) -> str:
    """What prompts there are: one line each, with the arguments they take."""
    lines = [
        f"{plain(one.name)} {' '.join(_argument(item) for item in one.arguments or ())}".rstrip()
        + (f": {plain(one.description)}" if one.description else "")
        for one in prompts[:MAX_LISTED]
    ]
    return bounded("\n".join(lines), MAX_CHARS) or "(no prompts)"


def _argument(item: Any) -> str:
    return f"{plain(item.name)}=…" if item.required else f"[{plain(item.name)}=…]"


def _part(block: Any) -> str:
    match block.type:
        case "text":
            return bounded(block.text, MAX_CHARS)
        case "image" | "audio":
            size = len(block.data) * 3 // 4
            return f"[{block.type}, {plain(block.mime_type)[:60]}, {size:,} bytes, not shown]"
        case "resource_link":
            return f"[resource {plain(str(block.uri))[:500]}: {plain(block.name)[:200]}]"
        case _:
            return _resource(block.resource)


def _resource(item: Any) -> str:
    text = getattr(item, "text", None)
    if text is not None:
        return bounded(text, MAX_CHARS)
    size = len(item.blob) * 3 // 4
    return (
        f"[{plain(str(item.uri))[:500]}, {plain(item.mime_type or 'bytes')[:60]}, {size:,} bytes]"
    )


def _structured(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    try:
        text = canonical_json(value)
    except (ValueError, TypeError, RecursionError):
        return {}
    return {"structured": value} if len(text) <= MAX_STRUCTURED_CHARS else {}
