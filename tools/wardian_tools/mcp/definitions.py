"""What a server offers: tools as it defines them, bounded, and under names that a model may call.

Covers: more tools than a prompt can hold; definitions of a megabyte, or nested without end; names
that providers refuse or that collide; text that is invisible or turns what stands beside it.
Does not cover: what a description says. A person reads it once, before it is approved.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from wardian_tools.calls import canonical_json

MAX_TOOLS = 128
"""Offered by one server; of more, the user names those wanted."""
MAX_DEFINITION_CHARS = 32_768
"""Of a tool's name, description and schema together, as JSON."""
MAX_SCHEMA_DEPTH = 24
MAX_NAME_CHARS = 64
"""Source: OpenAI and Anthropic, names of functions."""
SEPARATOR = "__"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
NOTHING: Mapping[str, str] = {}
RESOURCE_TOOLS = ("list_resources", "read_resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One tool as its server defines it, not a character changed."""

    name: str
    description: str
    schema: dict[str, Any]

    @property
    def sha256(self) -> str:
        parts = [self.name, self.description, self.schema]
        return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Everything a server says it has."""

    tools: tuple[Definition, ...]
    """By name; those that fit."""
    left_out: dict[str, str] = field(default_factory=dict[str, str])
    """name → why, as a sentence"""
    resources: bool = False
    prompts: bool = False
    server: str = ""
    """What it calls itself, with its version."""


def chosen(
    found: Iterable[Definition],
    is_wanted: Callable[[str], bool],
    unusable: Mapping[str, str] = NOTHING,
) -> Offer:
    """Those that are wanted and fit, and why others that are wanted do not.

    `unusable` are names of tools that cannot be called → why, as a sentence.
    """
    kept: dict[str, Definition] = {}
    left_out: dict[str, str] = {}
    for one in found:
        shown = plain(one.name)[:MAX_NAME_CHARS] or "(no name)"
        if not is_wanted(one.name):
            continue
        if problem := unusable.get(one.name) or _problem(one):
            left_out[shown] = problem
        elif one.name in kept:
            left_out[shown] = "It is there twice; the first is taken."
        elif len(kept) >= MAX_TOOLS:
            left_out[shown] = f"There are more than {MAX_TOOLS}: name those you want."
        else:
            kept[one.name] = one
    return Offer(tools=tuple(kept[name] for name in sorted(kept)), left_out=left_out)


def _problem(one: Definition) -> str:
    if not one.name or len(one.name) > 4 * MAX_NAME_CHARS:
        return f"Its name has {len(one.name)} characters."
    if _depth(one.schema) > MAX_SCHEMA_DEPTH:
        return f"Its schema is nested deeper than {MAX_SCHEMA_DEPTH} levels."
    try:
        size = len(canonical_json([one.name, one.description, one.schema]).encode())
    except (ValueError, UnicodeEncodeError):
        return "Its definition is not JSON."
    if size > MAX_DEFINITION_CHARS:
        return f"Its definition has {size:,} bytes; {MAX_DEFINITION_CHARS:,} are taken."
    return ""


def _depth(value: object) -> int:
    level, depth = [value], 0
    while level and depth <= MAX_SCHEMA_DEPTH:
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += cast("dict[str, object]", item).values()
            elif isinstance(item, list):
                below += cast("list[object]", item)
        level, depth = below, depth + 1
    return depth


def plain(text: str) -> str:
    """The text with whatever is invisible, or moves what is not, written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_plain(c) else _escape(c) for c in text.replace("\r\n", "\n"))


def _is_plain(character: str) -> bool:
    return character in "\n\t" or unicodedata.category(character) not in HIDDEN


def _escape(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def plain_schema(schema: object) -> Any:
    """The schema with every title and description plain. Values and names stay: they are data."""
    if isinstance(schema, dict):
        table = cast("dict[str, object]", schema)
        return {
            key: plain(value)
            if key in ("description", "title", "$comment") and isinstance(value, str)
            else plain_schema(value)
            for key, value in table.items()
        }
    if isinstance(schema, list):
        return [plain_schema(item) for item in cast("list[object]", schema)]
    return schema


def called(server: str, names: Iterable[str]) -> dict[str, str]:
    """Each of a server's names → the name a model calls: `server__tool`, unlike every other.

    Depends on the set of names alone, not on their order.
    """
    listed = sorted(set(names))
    wanted = {name: f"{server}{SEPARATOR}{_NOT_IN_NAMES.sub('_', name)}" for name in listed}
    found: dict[str, str] = {}
    for name, full in wanted.items():
        is_shared = sum(other == full for other in wanted.values()) > 1
        is_itself = full == f"{server}{SEPARATOR}{name}"
        must_differ = len(full) > MAX_NAME_CHARS or (is_shared and not is_itself)
        found[name] = _marked(name, full) if must_differ else full
    return found


def _marked(name: str, full: str) -> str:
    mark = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]
    return f"{full[: MAX_NAME_CHARS - 9]}_{mark}"
