"""`agent tool build` and `approve`: an agent writes a tool, a person approves its code."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.agent import Agent
from wardian.building.build import INSTRUCTIONS, TOOLS, Candidate
from wardian.building.build import build as build_tool
from wardian.building.checking import Draft, Report, check
from wardian.building.describe import Description, NotATool
from wardian.building.running import Open
from wardian.building.store import SOURCE, TESTS, BuiltTools, digest, read_draft
from wardian.cli.closing import counted
from wardian.cli.confirm import confirmed
from wardian.cli.run_options import (
    MaxCost,
    MaxSteps,
    MaxTokens,
    ModelName,
    Plain,
    Quiet,
    Timeout,
    Url,
)
from wardian.cli.sanitise import one_line, visible
from wardian.cli.terminal import write
from wardian.cli.view import View
from wardian.errors import ApprovalNeeded, ConfigurationError, ExitCode
from wardian.models.catalogue import resolve_model
from wardian.runs import RunStore
from wardian.settings import Settings, load_settings, paths
from wardian.skills import SKILL
from wardian.types import Sampling
from wardian_policies import Policy
from wardian_sandbox.opening import open_sandbox
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Confinement, Egress
from wardian_tools import own_tools

TESTING = Confinement(egress=Egress())
"""Of the tests: an empty folder, which they may write to"""
WHAT = {
    "": "It computes from its arguments alone: it sees no file and no network.",
    "reads": "It may read the workspace, and change nothing. No network.",
    "reads, writes": "It may read and CHANGE the workspace. No network.",
}


def build(
    task: Annotated[str, typer.Argument(metavar="TASK", help="What the tool should do.")],
    *,
    model: ModelName = None,
    base_url: Url = None,
    max_steps: MaxSteps = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    timeout: Timeout = None,
    quiet: Quiet = False,
    plain: Plain = False,
) -> int:
    """Have an agent write a tool with tests, check it in the sandbox, and show it for approval.

    It is kept once you have said yes to its code. Without a terminal it stays a draft, exit code 6.
    """
    flags = {
        "model": model,
        "base_url": base_url,
        "max_steps": max_steps,
        "max_tokens": max_tokens,
        "max_cost_usd": max_cost,
        "max_seconds": timeout,
    }
    settings = load_settings(flags, os.environ)
    if settings.model in (None, "tiny"):
        raise ConfigurationError(
            "The built-in model cannot write tools.", "Choose another one with -m."
        )
    store = BuiltTools(paths(os.environ).built_tools)
    view = View(as_json=False, quiet=quiet, plain=plain, answer_file=None)
    view.notices(settings.notices)
    made = asyncio.run(written(task, settings, view))
    store.keep_draft(made.description.name, made.draft, task)
    return ask_and_keep(store, made.draft, made.description, made.report, task, made.run_id)


async def written(task: str, settings: Settings, view: View) -> Candidate:
    """What the agent came to. Raises: NotBuilt, as `Agent.run`."""
    places = paths(os.environ)
    policy = Policy.load(settings.policy, folder=places.policies)
    with tempfile.TemporaryDirectory(prefix="wardian-build-") as folder:
        agent: Agent[Any] = Agent(
            resolve_model(
                settings.model or "",
                base_url=settings.base_url,
                environ=os.environ,
                context_tokens=settings.context_tokens,
            ),
            tools=TOOLS,
            policy=policy,
            budgets=settings.budgets(policy.layers[0].budgets, policy.added_budgets),
            sandbox=settings.sandbox,
            sandbox_image=settings.sandbox_image,
            workspace=folder,
            sampling=Sampling(
                temperature=settings.temperature,
                seed=settings.seed,
                max_tokens=settings.max_reply_tokens,
            ),
            instructions=INSTRUCTIONS,
            store=RunStore(places.runs),
            tags=("tool-build",),
            consent=settings.consent == "yes",
        )
        async with agent:
            try:
                return await build_tool(
                    task,
                    agent,
                    opener(settings),
                    TESTING,
                    taken=own_names(),
                    say=lambda text: view.renderer.say(f"agent: {one_line(text, 300)}"),
                    follow=view.renderer.on,
                )
            finally:
                view.renderer.pause()


def opener(settings: Settings) -> Open:
    async def opened(folder: Path | None, within: Confinement) -> SupervisedSandbox:
        assert folder is not None  # tests have a folder of their own
        return await open_sandbox(settings.sandbox, folder, within, image=settings.sandbox_image)

    return opened


def approve(
    name: Annotated[str, typer.Argument(help="The draft's name.")],
    *,
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="Approve without asking, if this is the draft's hash."),
    ] = None,
) -> int:
    """Show a draft that was built without a terminal, check it again, and approve it."""
    store = BuiltTools(paths(os.environ).built_tools)
    draft, task = store.draft(name)
    settings = load_settings({}, os.environ)
    try:
        description = draft.described()
        report = asyncio.run(check(draft, opener(settings), TESTING))
    except NotATool as error:
        raise ConfigurationError(
            f"The draft {name} is no tool: {error}", "Build it again."
        ) from error
    return ask_and_keep(store, draft, description, report, task, "", sha256)


def add(
    folder: Annotated[Path, typer.Argument(help=f"A folder with {SOURCE} and {TESTS}.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Keep it without asking.")] = False,
) -> int:
    """Add a tool that you wrote yourself, through the same checks."""
    draft = read_draft(folder)
    if draft is None:
        raise ConfigurationError(
            f"{folder} does not hold {SOURCE} and {TESTS}, of at most 256 KiB each.",
            "Write both.",
        )
    settings = load_settings({}, os.environ)
    try:
        description = draft.described()
        if description.name in own_names():
            raise NotATool(f"{description.name!r} is the name of a tool that comes with Wardian.")
        report = asyncio.run(check(draft, opener(settings), TESTING))
    except NotATool as error:
        raise ConfigurationError(f"{folder} holds no tool: {error}", "Mend it.") from error
    store = BuiltTools(paths(os.environ).built_tools)
    return ask_and_keep(
        store, draft, description, report, "written by hand", "", digest(draft) if yes else None
    )


def own_names() -> set[str]:
    return {SKILL, *(tool.name for tool in own_tools())}


def ask_and_keep(
    store: BuiltTools,
    draft: Draft,
    description: Description,
    report: Report,
    task: str,
    run_id: str,
    sha256: str | None = None,
) -> int:
    """Show everything; keep exactly what was shown if the person says yes."""
    name, found = description.name, digest(draft)
    for line in shown(draft, description, report):
        write(sys.stderr, visible(line) + "\n")
    if sha256 is not None and sha256 != found:
        raise ConfigurationError(f"The draft's hash is {found}, not {sha256}.", "Look at it again.")
    answer = True if sha256 else confirmed(f"Keep {name} as a tool for every run?")
    if answer is None:
        store.keep_draft(name, draft, task)
        raise ApprovalNeeded(
            f"Nobody can be asked whether to keep {name}; it stays a draft.",
            f"Run `agent tool approve {name}` on a terminal, or with --sha256 {found}.",
        )
    if not answer:
        write(sys.stderr, "It is not kept; the draft stays.\n")
        return ExitCode.APPROVAL
    built = store.keep(name, draft, task=task, run_id=run_id)
    write(sys.stderr, f"{name} is kept as version {built.current}: `agent tool run {name} …`\n")
    return ExitCode.DONE


def shown(draft: Draft, description: Description, report: Report) -> list[str]:
    """The whole of the code and what it may do, line by line."""
    granted = ", ".join(sorted(description.effects))
    tests, calls = counted(len(report.tests), "test"), counted(report.calls, "call")
    return [
        f"--- {SOURCE}",
        *draft.source.decode().rstrip().split("\n"),
        f"--- {TESTS}",
        *draft.tests.decode().rstrip().split("\n"),
        "---",
        f"{description.name}: effects {granted or 'none'}. {WHAT[granted]}",
        f"{tests} passed in two fresh boxes; {calls} gave the same both times.",
        f"sha256 {digest(draft)}",
    ]
