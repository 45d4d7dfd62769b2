"""The pattern that names exactly one call, for rules that are made from it."""

import re
from typing import Any
from urllib.parse import urlsplit

from wardian_policies.commands import ARGUMENT, takes_command
from wardian_policies.matching import path_arguments
from wardian_policies.rules import parse_rule
from wardian_policies.types import Verdict
from wardian_tools.types import Effect, Tool, ToolCall

SPECIAL = re.compile(r"[*?\\]")
URL = "url"


def pattern_for(call: ToolCall, tool: Tool) -> str | None:
    """A rule's pattern for this call and as few others as a person would expect.

    A command or a program text: exactly this one. A path: this one, whatever the content. A URL:
    all of its host's. Anything else: the tool. None when a pattern cannot say it.
    """
    arguments: dict[str, Any] = call.arguments or {}
    argument, glob = "", ""
    if takes_command(tool):
        argument, glob = ARGUMENT, escaped(arguments.get(ARGUMENT))
    elif Effect.EXECUTES in tool.effects:
        argument = next(iter(tool.parameters.get("properties", {})), "")
        glob = escaped(arguments.get(argument))
    elif name := next((n for n in path_arguments(tool) if isinstance(arguments.get(n), str)), ""):
        argument, glob = name, escaped(arguments[name])
    elif isinstance(arguments.get(URL), str):
        argument, glob = URL, host_glob(arguments[URL])
    else:
        return tool.name
    pattern = f"{tool.name}({argument}={glob})"
    return pattern if argument and glob and says(pattern, argument, glob) else None


def escaped(value: object) -> str:
    """A text as a glob that matches only it; nothing for what is no text."""
    return SPECIAL.sub(r"\\\g<0>", value) if isinstance(value, str) else ""


def host_glob(url: str) -> str:
    """Every page of the URL's host."""
    parts = urlsplit(url)
    if not parts.scheme or not parts.hostname or "@" in parts.netloc:
        return ""
    return f"{escaped(parts.scheme)}://{escaped(parts.netloc)}/*"


def says(pattern: str, argument: str, glob: str) -> bool:
    """Is the pattern read back as this one condition?"""
    try:
        conditions = parse_rule(Verdict.ALLOW, pattern, "").conditions
    except ValueError:
        return False
    return [(one.argument, one.glob) for one in conditions] == [(argument, glob)]
