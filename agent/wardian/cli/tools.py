"""`agent tools`: what a model can call."""

import json
import sys
from typing import Annotated, Any

import typer

from wardian.cli.grouping import group_of
from wardian.cli.known_tools import known_tools
from wardian.cli.listing import print_json, print_table
from wardian.cli.sanitise import visible
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian_tools import Tool, select

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    group = group_of("List the tools a model can call.")
    group.command("list", epilog="Example: agent tools list")(list_tools)
    group.command("show", epilog="Example: agent tools show edit_file")(show)
    app.add_typer(group, name="tools")


def list_tools(*, as_json: JsonOption = False) -> int:
    """List the tools: built in, built by an agent, of packages, servers, skills, sub-agents."""
    known = known_tools().values()
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
    tool = select([name], known_tools().values())[0]
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
