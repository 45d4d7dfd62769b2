"""What is wrong with a call, in at most `MAX_PROBLEM_CHARS` characters written for the model."""

import re
from collections.abc import Iterable
from typing import Any

from wardian_tools.parsing import preview
from wardian_tools.types import Tool

MAX_PROBLEM_CHARS = 500
MAX_LISTED = 5
_LINE_CHARS = 90
_NOISE = re.compile(r"^Input |^Value error, |, (unable to parse|got a number with) .*")


def clipped(text: str, limit: int) -> str:
    """`text`, at most `limit` characters long."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name most like `name`, if any is like it."""
    import difflib  # needed only once something is wrong

    found = difflib.get_close_matches(name[:64].lower(), list(names), n=1, cutoff=0.6)
    return found[0] if found else None


def unknown_tool(name: str, names: tuple[str, ...]) -> str:
    """A sentence for a call of a tool that is not there."""
    like = nearest(name, names)
    hint = f" Did you mean {like}?" if like else ""
    there = f"The tools are: {', '.join(names)}." if names else "There are no tools."
    return clipped(f"There is no tool {preview(name)}.{hint} {there}", MAX_PROBLEM_CHARS)


def misfit(tool: Tool, error: Exception) -> str:
    """Sentences for arguments that `tool` does not take: what is wrong, and what it takes."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        found = [clipped(f"{type(error).__name__}: {error}", _LINE_CHARS)]
        count = 1
    else:
        listed = error.errors(include_url=False, include_context=False)[:MAX_LISTED]
        found = [clipped(_line(tool, dict(entry)), _LINE_CHARS) for entry in listed]
        count = error.error_count()
    more = f"; and {count - len(found)} more" if count > len(found) else ""
    wrong = clipped(f"The arguments do not fit {tool.name}: {'; '.join(found)}", 380)
    return _printable(clipped(f"{wrong}{more}. {_signature(tool)}", MAX_PROBLEM_CHARS))


def _printable(text: str) -> str:
    """`text` without control characters: a tool's own validators quote what the model wrote."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def _line(tool: Tool, entry: dict[str, Any]) -> str:
    where = _place(entry["loc"])
    match entry["type"]:
        case "missing":
            return f"{where} is missing"
        case "extra_forbidden":
            like = nearest(str(entry["loc"][-1]), tool.parameters.get("properties", {}))
            hint = f" (did you mean {like}?)" if like and len(entry["loc"]) == 1 else ""
            return f"{where} is not an argument{hint}"
        case _:
            said = _NOISE.sub("", str(entry["msg"]))
            return f"{where} {said}, got {_value(entry['input'])}"


def _place(location: tuple[int | str, ...]) -> str:
    """("items", 3, "name") → items[3].name"""
    place = ""
    for part in location:
        if isinstance(part, int):
            place += f"[{part}]"
        else:
            word = part if part.isidentifier() and len(part) <= 40 else preview(part, 30)
            place += f".{word}" if place else word
    return place or "the object"


def _value(value: object) -> str:
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int() | float() | str():
            return preview(value, 30) if isinstance(value, str) else clipped(f"{value}", 30)
        case list():
            return "an array"
        case _:
            return "an object"


def _signature(tool: Tool) -> str:
    properties: dict[str, Any] = tool.parameters.get("properties", {})
    if not properties:
        return "It takes no arguments."
    required = tool.parameters.get("required", ())
    shown = (name if name in required else f"{name} (optional)" for name in properties)
    return f"It takes: {', '.join(shown)}."
