"""`agent mcp`: tool servers that speak the Model Context Protocol, both ways."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.cli import mcp_add, mcp_serve
from wardian.cli.grouping import group_of
from wardian.cli.listing import print_json, print_table
from wardian.cli.mcp_show import (
    Tested,
    about,
    approval_lines,
    decide_on,
    failed,
    is_as_approved,
    state_of,
    test,
    tested_json,
    tested_lines,
)
from wardian.cli.sanitise import visible
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import write
from wardian.errors import ConfigurationError, ExitCode
from wardian.mcp import approved, listed, setting
from wardian.settings import Paths, paths
from wardian_tools.errors import ServerError
from wardian_tools.mcp.connection import Connection
from wardian_tools.mcp.entries import Entry
from wardian_tools.mcp.pins import write_pins
from wardian_tools.problems import nearest

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NameArgument = Annotated[str, typer.Argument(help="The server's name.")]
WorkspaceOption = Annotated[
    Path, typer.Option("-w", "--workspace", metavar="DIR", help="The workspace it may see.")
]
YesOption = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    group = group_of("Use tool servers (MCP), and be one.")
    group.command("add", epilog="Example: agent mcp add time -- mcp-server-time")(mcp_add.add)
    group.command("import", epilog="Example: agent mcp import .mcp.json")(mcp_add.import_servers)
    group.command("list", epilog="Example: agent mcp list")(list_servers)
    group.command("test", epilog="Example: agent mcp test time")(check)
    group.command("approve", epilog="Example: agent mcp approve time")(approve)
    group.command("remove", epilog="Example: agent mcp remove time")(remove)
    group.command("prompt", epilog="Example: agent mcp prompt time")(prompt)
    group.command("serve", epilog="Example: agent mcp serve --tools python")(mcp_serve.serve)
    app.add_typer(group, name="mcp")


def list_servers(*, as_json: JsonOption = False) -> int:
    """List the servers, and whether each is approved."""
    places = paths(os.environ)
    entries, pins = listed(places), approved(places)
    rows = [(entry, state_of(entry, pins.get(name))) for name, entry in entries.items()]
    if as_json:
        print_json([{**about(entry), "state": state} for entry, state in rows])
        return ExitCode.DONE
    table = [
        (
            entry.name,
            state,
            str(len(pins[entry.name].tools)) if entry.name in pins else "-",
            "none!" if entry.sandbox == "none" else "remote" if entry.is_remote else "yes",
            entry.url or " ".join((entry.command, *entry.args)),
        )
        for entry, state in rows
    ]
    header = ("SERVER", "STATE", "TOOLS", "SANDBOX", "WHAT IT IS")
    print_table(header, table, f"There are no servers in {places.mcp_servers}.")
    return ExitCode.DONE


def check(
    name: NameArgument, *, workspace: WorkspaceOption = Path(), as_json: JsonOption = False
) -> int:
    """Start a server, and show what it offers.

    What differs from what was approved is marked, and ends it with exit code 6: it needs your yes
    (`agent mcp approve`).
    """
    places = paths(os.environ)
    entry = entry_of(places, name)
    pin = approved(places).get(name)
    tested = reached(entry, workspace)
    if as_json:
        print_json(tested_json(tested, pin))
    else:
        write(sys.stdout, "\n".join(map(visible, tested_lines(tested, pin))) + "\n")
    is_fine = entry.disabled or is_as_approved(tested, pin)
    return ExitCode.DONE if is_fine else ExitCode.APPROVAL


def approve(
    name: NameArgument, *, workspace: WorkspaceOption = Path(), yes: YesOption = False
) -> int:
    """Approve what a server offers, or what changed.

    All of it is shown first: descriptions reach the model word for word.
    """
    places = paths(os.environ)
    entry = entry_of(places, name)
    pins = approved(places)
    tested = reached(entry, workspace)
    lines = approval_lines(tested, pins.get(name))
    write(sys.stderr, "\n".join(map(visible, lines)) + "\n")
    return decide_on(places, tested, yes=yes)


def remove(name: NameArgument) -> int:
    """Remove a server, and what was approved of it."""
    places = paths(os.environ)
    entry_of(places, name)
    if name not in mcp_add.own_names(places):
        raise ConfigurationError(
            f"{name} is listed in {places.mcp_foreign}, which other programs write.",
            "Remove it there.",
        )
    mcp_add.change_list(places, name, None)
    pins = approved(places)
    if pins.pop(name, None):
        write_pins(places.mcp_approved, pins)
    write(sys.stderr, f"removed {name}\n")
    return ExitCode.DONE


def prompt(
    name: NameArgument,
    prompt_name: Annotated[str | None, typer.Argument(metavar="PROMPT")] = None,
    arguments: Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE")] = None,
    *,
    workspace: WorkspaceOption = Path(),
) -> int:
    """List a server's prompts, or print one.

    Read it before you give it to `agent run -`: it is the server's text.
    """
    entry = entry_of(paths(os.environ), name)
    given = dict(mcp_add.pair(text) for text in arguments or ())
    connection = Connection(entry, setting(os.environ, workspace))

    async def text() -> str:
        from wardian_tools.mcp.results import prompt_lines, prompt_text

        try:
            prompts = await connection.prompts()
            if prompt_name is None:
                return prompt_lines(prompts)
            check_prompt(name, prompts, prompt_name, given)
            return prompt_text(await connection.prompt(prompt_name, given))
        finally:
            await connection.close()

    try:
        write(sys.stdout, visible(asyncio.run(text())) + "\n")
    except ServerError as error:
        raise failed(error) from error
    return ExitCode.DONE


def check_prompt(server: str, prompts: Sequence[Any], name: str, given: Mapping[str, str]) -> None:
    """Raises: UsageError for a prompt that is not there, or does not take these arguments."""
    found = next((one for one in prompts if one.name == name), None)
    if found is None:
        like = nearest(name, [one.name for one in prompts])
        remedy = f"Did you mean {like!r}?" if like else f"`agent mcp prompt {server}` lists them."
        raise UsageError(f"MCP server {server!r} has no prompt {name!r}.", remedy)
    taken: dict[str, bool] = {one.name: bool(one.required) for one in found.arguments or ()}
    for one in given:
        if one not in taken:
            like = nearest(one, taken)
            known = f"It takes {', '.join(taken)}." if taken else "It takes none."
            remedy = f"Did you mean {like!r}?" if like else known
            raise UsageError(f"The prompt {name!r} takes no argument {one!r}.", remedy)
    if missing := [one for one, is_required in taken.items() if is_required and one not in given]:
        words = " ".join(f"{one}=…" for one in missing)
        raise UsageError(
            f"The prompt {name!r} needs {', '.join(missing)}.",
            f"`agent mcp prompt {server} {name} {words}`",
        )


def reached(entry: Entry, workspace: Path) -> Tested:
    """What the server is like. Raises: WardianError."""
    try:
        return asyncio.run(test(entry, setting(os.environ, workspace)))
    except ServerError as error:
        raise failed(error) from error


def entry_of(places: Paths, name: str) -> Entry:
    """Raises: ConfigurationError when there is none of that name."""
    entries = listed(places)
    if name not in entries:
        like = nearest(name, entries)
        remedy = f"Did you mean {like}?" if like else "`agent mcp list` shows those there are."
        raise ConfigurationError(f"There is no MCP server {name!r}.", remedy)
    return entries[name]
