"""What is shown of a tool server: whether it works, what it offers, what changed in it."""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, cast

from wardian.cli.closing import counted
from wardian.cli.confirm import confirmed
from wardian.cli.terminal import write
from wardian.errors import ApprovalNeeded, ExitCode, WardianError
from wardian.mcp import approved
from wardian.settings import Paths
from wardian_tools.errors import ServerError
from wardian_tools.mcp.connection import Connection
from wardian_tools.mcp.definitions import Definition, Offer
from wardian_tools.mcp.entries import Entry
from wardian_tools.mcp.pins import Change, Pin, changes, write_pins
from wardian_tools.mcp.setting import Setting

MAX_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A server that was started and asked."""

    entry: Entry
    offer: Offer
    seconds: float
    noise: str
    hosts: tuple[str, ...]
    """What it asked of the network, and what became of that."""


async def test(entry: Entry, setting: Setting) -> Tested:
    """Start the server, ask what it offers, and end it. Raises: ServerUnavailable."""
    connection = Connection(entry, setting)
    began = time.monotonic()
    try:
        offer = await connection.offer()
        seconds = time.monotonic() - began
    finally:
        await connection.close()
    asked = [f"{e.outcome} {e.host}:{e.port}" for e in setting.egress.get(entry.name, ())]
    return Tested(
        entry=entry,
        offer=offer,
        seconds=seconds,
        noise=connection.noise,
        hosts=tuple(dict.fromkeys(asked)),
    )


def failed(error: ServerError) -> WardianError:
    return WardianError(error.cause, error.remedy)


def state_of(entry: Entry, pin: Pin | None) -> str:
    if entry.disabled:
        return "disabled"
    if pin is None:
        return "not approved"
    return "approved" if pin.entry_sha256 == entry.sha256 else "entry changed"


def about(entry: Entry) -> dict[str, Any]:
    """The entry as JSON; it names variables and holds none of their values."""
    facts = {key: value for key, value in asdict(entry).items() if value not in (None, (), "")}
    return facts | {"variables": entry.variables}


def given_lines(entry: Entry) -> list[str]:
    """What the server gets, and can do with it."""
    what = entry.url or " ".join((entry.command, *entry.args))
    if entry.is_remote:
        place = "none: it runs elsewhere, not started by us, and learns what it is called with"
    elif entry.sandbox == "none":
        place = "none: it has your own rights, to files, network and programs"
    else:
        reach = ", ".join(entry.hosts) or "no network"
        place = f"a box of its own, {reach}, workspace: {entry.workspace}"
    lines = [f"  runs      {what}", f"  sandbox   {place}"]
    if entry.readable:
        lines.append(f"  reads     {', '.join(entry.readable)}")
    if entry.variables:
        lines.append(f"  gets      your variables {', '.join(entry.variables)}")
    return lines


def tested_lines(tested: Tested, pin: Pin | None) -> list[str]:
    """For `agent mcp test`."""
    entry, offer = tested.entry, tested.offer
    lines = [f"{entry.name}: {offer.server or 'no name given'}, {tested.seconds:.1f} s"]
    lines += given_lines(entry)
    if tested.hosts:
        lines.append(f"  asked for {', '.join(tested.hosts[:MAX_LISTED])}")
    if tested.noise:
        lines.append(f"  printed {tested.noise}")
    also = [name for name in ("resources", "prompts") if getattr(offer, name)]
    if also:
        lines.append(f"  also has  {', '.join(also)}")
    differs = (
        {change.name: change.kind for change in changes(pin.tools, offer.tools)} if pin else {}
    )
    lines.append(f"{counted(len(offer.tools), 'tool')}:")
    for tool in offer.tools:
        mark = f" [{differs[tool.name]} since it was approved]" if tool.name in differs else ""
        lines.append(f"  {tool.name}{mark}: {first_line(tool.description)}")
    lines += left_out_lines(offer)
    lines.append(closing(entry, pin, differs))
    return lines


def is_as_approved(tested: Tested, pin: Pin | None) -> bool:
    """May models call all that the server offers now?"""
    is_same = pin is not None and not changes(pin.tools, tested.offer.tools)
    return is_same and state_of(tested.entry, pin) == "approved"


def closing(entry: Entry, pin: Pin | None, differs: dict[str, str]) -> str:
    state = state_of(entry, pin)
    if state == "approved" and not differs:
        return "approved, and as it was"
    if entry.disabled:
        return "disabled in its entry"
    differing = f"{counted(len(differs), 'tool')} not as approved"
    what = differing if differs else state
    return f"{what}: `agent mcp approve {entry.name}`"


def tested_json(tested: Tested, pin: Pin | None) -> dict[str, Any]:
    offer = tested.offer
    return {
        **about(tested.entry),
        "state": state_of(tested.entry, pin),
        "server": offer.server,
        "seconds": round(tested.seconds, 3),
        "offers": [asdict(tool) for tool in offer.tools],
        "left_out": offer.left_out,
        "resources": offer.resources,
        "prompts": offer.prompts,
        "noise": tested.noise,
        "asked_for": tested.hosts,
        "changes": [
            {"tool": change.name, "kind": change.kind, "diff": change.lines()}
            for change in (changes(pin.tools, offer.tools) if pin else ())
        ],
    }


def approval_lines(tested: Tested, pin: Pin | None) -> list[str]:
    """All that a person has to see before saying yes: nothing of it is shortened."""
    entry, offer = tested.entry, tested.offer
    lines = [f"{entry.name}: {offer.server or 'no name given'}", *given_lines(entry)]
    if pin is None:
        for tool in offer.tools:
            lines += ["", *definition_lines(tool)]
    else:
        if pin.entry_sha256 != entry.sha256:
            lines.append("  its entry changed since it was approved")
        found = changes(pin.tools, offer.tools)
        if not found:
            lines.append(f"no tool changed since {pin.approved} (UTC)")
        for change in found:
            lines += ["", *change_lines(change)]
    if offer.resources:
        lines += ["", "and what its resources hold, to be listed and read"]
    return [*lines, *left_out_lines(offer)]


def definition_lines(tool: Definition) -> Iterable[str]:
    yield f"{tool.name}"
    for line in tool.description.strip().splitlines() or ["(no description)"]:
        yield f"  | {line}"
    for name, facts in properties_of(tool.schema).items():
        yield f"  {name}: {facts.get('description', '')}".rstrip(": ")
    if says_more(tool.schema):
        yield "  its schema says more:"
        yield from (f"  | {line}" for line in json.dumps(tool.schema, indent=1).splitlines())


def properties_of(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Of each argument what its schema says, as far as that is an object."""
    found: object = schema.get("properties")
    table = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    return {
        name: cast("dict[str, Any]", facts) if isinstance(facts, dict) else {}
        for name, facts in table.items()
    }


def says_more(schema: dict[str, Any]) -> bool:
    """Does it hold text for the model beside the descriptions of its arguments?"""
    whole = json.dumps(schema)
    texts = sum(whole.count(f'"{key}":') for key in ("description", "title", "enum", "default"))
    return texts > sum("description" in facts for facts in properties_of(schema).values())


def change_lines(change: Change) -> Iterable[str]:
    was = change.before.name if change.kind == "renamed" and change.before else ""
    yield f"{change.name}: {change.kind}" + (f", was {was}" if was else "")
    for line in change.lines():
        yield f"  {line}"


def left_out_lines(offer: Offer) -> list[str]:
    found = [f"  {name}: {why}" for name, why in list(offer.left_out.items())[:MAX_LISTED]]
    more = len(offer.left_out) - MAX_LISTED
    return (
        ["", f"left out: {counted(len(offer.left_out), 'tool')}", *found]
        + ([f"  and {more} more"] if more > 0 else [])
        if found
        else []
    )


def first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0][:200]


def decide_on(places: Paths, tested: Tested, *, yes: bool) -> int:
    """Approve what was shown, if the person says so. Raises: ApprovalNeeded, ServerFileError."""
    entry = tested.entry
    count = len(tested.offer.tools)
    tools = counted(count, "tool")
    answer = True if yes else confirmed(f"Let models call {entry.name}, as shown ({tools})?")
    if answer is None:
        raise ApprovalNeeded(
            f"{entry.name} has to be approved, and there is no terminal to ask on.",
            f"Look at it with `agent mcp test {entry.name}`, then `agent mcp approve "
            f"{entry.name} --yes`.",
        )
    if not answer:
        write(sys.stderr, "not approved\n")
        return ExitCode.APPROVAL
    pins = approved(places) | {entry.name: Pin.of(entry, tested.offer)}
    write_pins(places.mcp_approved, pins)
    write(sys.stderr, f"approved: {tools} of {entry.name}\n")
    return ExitCode.DONE
