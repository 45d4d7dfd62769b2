"""What a tool's docstring says: the description, and each parameter's line of its `Args:`."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_SECTION = re.compile(
    r"(args|arguments|parameters|returns|return|raises|yields|examples?|notes?|source):\s*",
    re.IGNORECASE,
)
_PARAMETERS = ("args", "arguments", "parameters")
_ENTRY = re.compile(r"\*{0,2}(?P<name>\w+)\s*(\([^)]*\))?\s*:\s*(?P<text>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Documentation:
    """A docstring in Google style, taken apart."""

    description: str
    """Everything before the first section; its line breaks inside a paragraph are spaces."""
    parameters: dict[str, str]
    """Parameter → text, from the `Args:` section."""


def read_docstring(function: Callable[..., Any]) -> Documentation:
    """Take the docstring of `function` apart; both parts are empty when there is none."""
    description: list[str] = []
    entries: list[str] = []
    section = ""
    for line in (inspect.getdoc(function) or "").splitlines():
        if heading := _SECTION.fullmatch(line):
            section = heading[1].lower()
        elif not section:
            description.append(line)
        elif section in _PARAMETERS:
            entries.append(line)
    paragraphs = re.split(r"\n\s*\n", "\n".join(description))
    return Documentation(
        description="\n\n".join(filter(None, (" ".join(p.split()) for p in paragraphs))),
        parameters=_read_entries(entries),
    )


def _read_entries(lines: list[str]) -> dict[str, str]:
    """Entries stand at the first line's indentation; deeper lines continue the one above."""
    found: dict[str, str] = {}
    name = ""
    indent = next((len(ln) - len(ln.lstrip()) for ln in lines if ln.strip()), 0)
    for line in filter(str.strip, lines):
        at_margin = len(line) - len(line.lstrip()) <= indent
        if at_margin and (entry := _ENTRY.fullmatch(line.strip())):
            name = entry["name"]
            found[name] = entry["text"].strip()
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found
