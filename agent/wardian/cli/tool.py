"""`agent tool`: tools that an agent built and you approved, run with no model involved."""

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.building.describe import Description
from wardian.building.running import run_built
from wardian.building.store import Built, BuiltTools
from wardian.cli.confirm import confirmed
from wardian.cli.grouping import group_of
from wardian.cli.listing import print_json, print_table
from wardian.cli.sanitise import one_line, visible
from wardian.cli.terminal import write
from wardian.cli.tool_arguments import tool_arguments, usage
from wardian.cli.tool_build import add, approve, build
from wardian.errors import ApprovalNeeded, ConfigurationError, ExitCode
from wardian.settings import Settings, load_settings, paths
from wardian_policies import Policy
from wardian_policies.types import Allow, Ask, Deny
from wardian_sandbox.opening import open_sandbox
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Confinement
from wardian_tools import Output, ResultStatus, Tool, ToolCall, ToolContext

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="The tool's name.")]
REST = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    group = group_of("Build tools by an agent, and run them with no model.")
    group.command("build", epilog='Example: agent tool build "Turn a title into a slug"')(build)
    group.command("approve", epilog="Example: agent tool approve slugify")(approve)
    group.command("add", epilog="Example: agent tool add ./slugify")(add)
    group.command("list", epilog="Example: agent tool list")(list_built)
    group.command("show", epilog="Example: agent tool show slugify")(show)
    group.command(
        "run", context_settings=REST, epilog='Example: agent tool run slugify --title "Two words"'
    )(run)
    group.command("remove", epilog="Example: agent tool remove slugify")(remove)
    group.command("rollback", epilog="Example: agent tool rollback slugify")(roll_back)
    app.add_typer(group, name="tool")


def store() -> BuiltTools:
    return BuiltTools(paths(os.environ).built_tools)


async def not_here(context: ToolContext, arguments: dict[str, Any]) -> Output:
    raise AssertionError("described only")


def list_built(*, as_json: JsonOption = False) -> int:
    """List the built tools, each of which a run offers to its model, and the drafts."""
    built, drafts = store().all(), store().drafts()
    if as_json:
        print_json([asdict(one) for one in built])
        return ExitCode.DONE
    rows = [(one.name, str(one.current), *described(one)) for one in built]
    rows += [(name, "draft", "", f"`agent tool approve {name}` shows it") for name in drafts]
    empty = "There are no built tools yet; `agent tool build` makes one."
    print_table(("TOOL", "VERSION", "EFFECTS", "WHAT IT DOES"), rows, empty)
    return ExitCode.DONE


def described(built: Built) -> tuple[str, str]:
    """Its effects and first line; that it is refused where its files are not as approved."""
    try:
        _, description = store().read(built.name)
    except ConfigurationError as error:
        return "REFUSED", error.cause
    return effects(description), description.docstring.split("\n", 1)[0]


def effects(description: Description) -> str:
    return ", ".join(sorted(description.effects)) or "none"


def show(
    name: Name,
    *,
    version: Annotated[int | None, typer.Option(min=1, help="Not the current one.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Show a tool's code, tests, effects, arguments and versions."""
    built = store().get(name)
    draft, description = store().read(name, version)
    tool = description.as_tool(not_here)
    if as_json:
        facts = {"source": draft.source.decode(), "tests": draft.tests.decode()}
        print_json({**asdict(built), **facts, "parameters": tool.parameters})
        return ExitCode.DONE
    lines = [
        f"{name}, version {version or built.current} of {len(built.versions)}",
        f"effects: {effects(description)}",
        f"arguments: {usage(tool)}",
        *(
            f"version {one.number}: approved {one.approved}, {one.sha256[:16]}, "
            f"“{one_line(one.task, 80)}”"
            for one in built.versions
        ),
    ]
    text = "\n".join(lines) + f"\n\n{draft.source.decode()}\n# test_tool.py\n{draft.tests.decode()}"
    write(sys.stdout, visible(text).rstrip() + "\n")
    return ExitCode.DONE


def run(
    context: typer.Context,
    name: Name,
    *,
    workspace: Annotated[
        Path, typer.Option("-w", "--workspace", metavar="DIR", help="The folder it may see.")
    ] = Path(),
) -> int:
    """Run a built tool in the sandbox, with no model. Its arguments are options of their own name
    (`agent tool show` lists them), values in their order, or --arguments with a JSON object.

    Options of ours come before the tool's name.
    """
    draft, description = store().read(name)
    tool = description.as_tool(not_here)
    arguments = tool_arguments(tool, context.args)
    settings = load_settings({}, os.environ, workspace)
    within = granted(tool, arguments, settings)
    folder = workspace.absolute()

    async def opened(own: Path | None, within: Confinement) -> SupervisedSandbox:
        image = settings.sandbox_image
        return await open_sandbox(settings.sandbox, own or folder, within, image=image)

    output = asyncio.run(
        run_built(name, draft.source, description.effects, arguments, opened, within)
    )
    if output.status is not ResultStatus.OK:
        write(sys.stderr, visible(f"agent: {name}: {output.content}") + "\n")
        return ExitCode.NOT_ACHIEVED
    text = visible(output.content) if sys.stdout.isatty() else output.content
    write(sys.stdout, text if text.endswith("\n") else text + "\n")
    return ExitCode.DONE


def granted(tool: Tool, arguments: dict[str, Any], settings: Settings) -> Confinement:
    """What the policy grants the call, if need be by a person's yes. Raises: ApprovalNeeded."""
    policy = Policy.load(settings.policy, folder=paths(os.environ).policies)
    text = json.dumps(arguments)
    call = ToolCall(id="1", name=tool.name, arguments_text=text, arguments=arguments)
    decision = policy.decide(call, tool)
    match decision:
        case Allow(within=within):
            return within
        case Deny(reason=reason, rule=rule):
            raise ApprovalNeeded(reason, f"Rule “{rule.text}” ({rule.source}) says so.")
        case Ask(question=question, rule=rule, granted=allow):
            if confirmed(f"{question}\n  {tool.name} {text}\n"):
                return allow.within
            raise ApprovalNeeded(
                "The call was not allowed.", f"Rule “{rule.text}” ({rule.source}) asks for it."
            )


def remove(name: Name) -> int:
    """Remove a tool with all its versions, or a draft."""
    store().remove(name)
    write(sys.stderr, f"{name} is removed.\n")
    return ExitCode.DONE


def roll_back(
    name: Name,
    *,
    version: Annotated[int | None, typer.Option(min=1, help="Default: the one before.")] = None,
) -> int:
    """Make an earlier version the current one; the later ones stay."""
    built = store().roll_back(name, version)
    write(sys.stderr, f"{name} is version {built.current} again.\n")
    return ExitCode.DONE
