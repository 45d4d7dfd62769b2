"""What a person approved of each server, and how what it offers now differs from that.

Covers: a tool whose description or schema changed, one that was renamed, one that came or went; an
entry that starts something else under the same name. All of it has to be approved again.
"""

import difflib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from wardian_tools.errors import ServerFileError
from wardian_tools.mcp.definitions import Definition, Offer
from wardian_tools.mcp.entries import Entry, read_text

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One server as it was approved."""

    entry_sha256: str
    tools: tuple[Definition, ...]
    resources: bool = False
    prompts: bool = False
    server: str = ""
    approved: str = ""
    """When, UTC."""

    @classmethod
    def of(cls, entry: Entry, offer: Offer) -> "Pin":
        """Of what is there now."""
        return cls(
            entry_sha256=entry.sha256,
            tools=tuple(tool for tool in offer.tools if entry.offers(tool.name)),
            resources=offer.resources,
            prompts=offer.prompts,
            server=offer.server,
            approved=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One tool that is not as it was approved."""

    name: str
    kind: str
    """added, removed, renamed, changed"""
    before: Definition | None = None
    after: Definition | None = None

    def lines(self) -> list[str]:
        """The difference, to be read; its text is the server's."""
        return list(
            difflib.unified_diff(
                _text(self.before), _text(self.after), "approved", "now", lineterm="", n=2
            )
        )


def changes(approved: Iterable[Definition], offered: Iterable[Definition]) -> tuple[Change, ...]:
    """What differs between two sets of tools. The order in them says nothing."""
    before = {tool.name: tool for tool in approved}
    after = {tool.name: tool for tool in offered}
    gone = {_nameless(tool): name for name, tool in before.items() if name not in after}
    found: list[Change] = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old and new:
            if old.sha256 != new.sha256:
                found.append(Change(name=name, kind="changed", before=old, after=new))
        elif new:
            was = gone.pop(_nameless(new), None)
            kind = "renamed" if was else "added"
            found.append(
                Change(name=name, kind=kind, before=before[was] if was else None, after=new)
            )
    found += [Change(name=name, kind="removed", before=before[name]) for name in gone.values()]
    return tuple(sorted(found, key=lambda change: (change.name, change.kind)))


def _nameless(tool: Definition) -> str:
    return replace(tool, name="").sha256


def _text(tool: Definition | None) -> list[str]:
    if tool is None:
        return []
    schema = json.dumps(tool.schema, indent=2, sort_keys=True, ensure_ascii=False)
    return [f"name: {tool.name}", *tool.description.splitlines(), *schema.splitlines()]


def read_pins(path: Path) -> dict[str, Pin]:
    """What was approved, by server. Raises: ServerFileError when the file is damaged."""
    text = read_text(path)
    if text is None:
        return {}
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise ValueError(f"it is of version {document['version']}")
        return {str(name): _pin(pin) for name, pin in document["servers"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ServerFileError(
            f"{path} does not hold what was approved: {error}.",
            "Remove it, and approve each server again with `agent mcp approve`.",
        ) from error


def _pin(value: Mapping[str, Any]) -> Pin:
    tools = cast("list[dict[str, Any]]", value["tools"])
    return Pin(
        entry_sha256=str(value["entry_sha256"]),
        tools=tuple(
            Definition(
                name=str(tool["name"]),
                description=str(tool["description"]),
                schema=dict(tool["schema"]),
            )
            for tool in tools
        ),
        resources=bool(value["resources"]),
        prompts=bool(value["prompts"]),
        server=str(value["server"]),
        approved=str(value["approved"]),
    )


def write_pins(path: Path, pins: Mapping[str, Pin]) -> None:
    """Write the file whole or not at all, for its owner only. Raises: ServerFileError."""
    servers = {
        name: {
            "entry_sha256": pin.entry_sha256,
            "approved": pin.approved,
            "server": pin.server,
            "resources": pin.resources,
            "prompts": pin.prompts,
            "tools": [
                {"name": tool.name, "description": tool.description, "schema": tool.schema}
                for tool in pin.tools
            ],
        }
        for name, pin in sorted(pins.items())
    }
    text = json.dumps({"version": VERSION, "servers": servers}, indent=1)
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except OSError as error:
        with suppress(OSError):
            Path(temporary).unlink()
        raise ServerFileError(
            f"{path} cannot be written ({error.strerror}).",
            "Check its permissions and the space left.",
        ) from error
