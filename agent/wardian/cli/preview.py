"""Calls and results cut to what a person can take in while a run goes on. All of it sanitised."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from wardian.cli.sanitise import one_line, visible
from wardian.events import CallDecided, Recorded
from wardian_tools.types import ToolCall

CODE_LINES = 16
RESULT_LINES = 8
LINE_CHARS = 240
TITLE_CHARS = 160
CODE_ARGUMENT = {"python": "code", "shell": "command"}
"""tool → the argument that is a program and is shown as one"""


def title(call: ToolCall) -> str:
    """The call on one line."""
    arguments = shown_arguments(call)
    code = CODE_ARGUMENT.get(call.name)
    if code is not None and code in arguments:
        text = str(arguments[code])
    elif arguments:
        text = ", ".join(f"{name}={compact(value)}" for name, value in arguments.items())
    else:
        text = call.arguments_text if call.arguments is None else ""
    return one_line(text, TITLE_CHARS)


def titles_of_calls(events: Iterable[Recorded]) -> dict[str, str]:
    """By their ids, as they ran in the end."""
    decided = (event.call for event in events if isinstance(event, CallDecided))
    return {call.id: title(call) for call in decided}


def program(call: ToolCall) -> list[str] | None:
    """The lines of code in the call, when it has some that one line cannot show."""
    code = CODE_ARGUMENT.get(call.name)
    text = shown_arguments(call).get(code) if code else None
    if not isinstance(text, str) or ("\n" not in text.strip() and len(text) <= TITLE_CHARS):
        return None
    return first_lines(text, CODE_LINES)


def first_lines(text: str, limit: int) -> list[str]:
    """The first `limit` lines, and how many more there were."""
    lines = visible(text).strip("\n").split("\n")
    shown = [line if len(line) <= LINE_CHARS else line[:LINE_CHARS] + "..." for line in lines]
    if len(lines) <= limit + 1:
        return shown
    return [*shown[:limit], f"({len(lines) - limit} more lines)"]


def whole(call: ToolCall) -> list[str]:
    """Every argument of the call in full, one `name: value` a line, for whoever must decide."""
    arguments = shown_arguments(call)
    if not arguments:
        return visible(call.arguments_text).split("\n")
    lines: list[str] = []
    for name, value in arguments.items():
        text = visible(value if isinstance(value, str) else json.dumps(value))
        first, *rest = text.split("\n")
        if rest:
            lines += [f"{visible(name)}:", *(f"  {line}" for line in (first, *rest))]
        else:
            lines.append(f"{visible(name)}: {first}")
    return lines


def shown_arguments(call: ToolCall) -> Mapping[str, Any]:
    """The arguments without the defaults nobody wrote."""
    if call.arguments is None:
        return {}
    return {name: value for name, value in call.arguments.items() if value is not None}


def compact(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return one_line(text, 60)
