"""`agent tools`: what a model can call."""

import json
import os
import sys
from typing import Annotated, Any

import typer

from wardian.cli.additions import built_tools
from wardian.cli.grouping import group_of
from wardian.cli.listing import print_json, print_table
from wardian.cli.sanitise import visible
from wardian.cli.servers import tools_of_servers
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.settings import paths
from wardian_tools import Tool, load_entry_points, own_tools, select

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    group = group_of("List the tools a model can call.")
    group.command("list", epilog="Example: agent tools list")(list_tools)
    group.command("show", epilog="Example: agent tools show edit_file")(show)
    app.add_typer(group, name="tools")


def list_tools(*, as_json: JsonOption = False) -> int:
    """List the tools: built in, built by an agent, of installed packages, of tool servers."""
    plugins = load_entry_points()
    built, notices = built_tools(paths(os.environ))
    known = (*own_tools(), *built, *plugins.tools, *tools_of_servers())
    for notice in notices:
        write(sys.stderr, visible(f"agent: {notice}") + "\n")
    for failure in plugins.failures:
        message = f"agent: the tools of {failure.name} cannot be loaded: {failure.cause}"
        write(sys.stderr, visible(message) + "\n")
    if as_json:
        print_json([facts(tool) for tool in known])
    else:
        rows = [(tool.name, effects(tool), summary(tool)) for tool in known]
        print_table(("TOOL", "EFFECTS", "WHAT IT DOES"), rows, "There are no tools.")
    return ExitCode.DONE


def show(
    name: Annotated[str, typer.Argument(help="The tool's name.")], *, as_json: JsonOption = False
) -> int:
    """Show one tool: its description, effects and the schema of its arguments."""
    theirs = {tool.name: tool for tool in tools_of_servers()}
    tool = theirs[name] if name in theirs else select([name])[0]
    if as_json:
        print_json(facts(tool))
        return ExitCode.DONE
    schema = json.dumps(tool.parameters, indent=2)
    text = f"{tool.name} ({effects(tool)})\n\n{tool.description}\n\nArguments:\n{schema}"
    write(sys.stdout, visible(text) + "\n")
    return ExitCode.DONE


def facts(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "effects": sorted(tool.effects),
        "read_only": tool.read_only,
        "idempotent": tool.idempotent,
        "parameters": tool.parameters,
    }


def effects(tool: Tool) -> str:
    return ", ".join(sorted(tool.effects)) or "none"


def summary(tool: Tool) -> str:
    return tool.description.strip().split("\n", 1)[0]
