"""`agent run`: give the agent a task."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from wardian.agent import Agent
from wardian.cli.approve import Person
from wardian.cli.outcome import RunBroke
from wardian.cli.run_options import (
    AnswerFile,
    ApproveWhen,
    Context,
    Copy,
    Json,
    MaxCost,
    MaxSteps,
    MaxTokens,
    MaxToolCalls,
    ModelName,
    OutputSchema,
    Plain,
    PolicyName,
    Quiet,
    SandboxName,
    Seed,
    TaskArgument,
    TaskFile,
    Temperature,
    Timeout,
    Tools,
    Url,
    When,
    Workspace,
    check_writable,
    read_schema,
)
from wardian.cli.servers import tool_servers
from wardian.cli.session import Open, converse, new_task
from wardian.cli.task_input import read_task
from wardian.cli.terminal import person_fd
from wardian.cli.view import View
from wardian.loop import Approve
from wardian.models.catalogue import resolve_model
from wardian.runs import RunStore
from wardian.settings import Settings, load_settings, paths
from wardian.types import Sampling
from wardian_policies import Policy
from wardian_tools.types import ToolSource

BUILT_IN = "tiny"
NO_MODEL = "no model is configured, so the built-in one does it (`agent models list`, -m)"


def register(app: typer.Typer) -> None:
    app.command("run", epilog='Example: agent run "How many lines are in README.md?"')(run)


def run(
    task: TaskArgument = None,
    *,
    file: TaskFile = None,
    context: Context = None,
    model: ModelName = None,
    base_url: Url = None,
    sandbox: SandboxName = None,
    policy: PolicyName = None,
    workspace: Workspace = Path(),
    copy: Copy = False,
    tools: Tools = None,
    max_steps: MaxSteps = None,
    max_tool_calls: MaxToolCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    timeout: Timeout = None,
    temperature: Temperature = None,
    seed: Seed = None,
    approve: ApproveWhen = None,
    output_schema: OutputSchema = None,
    output: AnswerFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
) -> int:
    """Give the agent a task. The answer goes to stdout, everything else to stderr.

    What is piped in beside the task is context. Without a terminal nobody is asked: a call that
    needs a person's yes ends the run with exit code 6.
    """
    check_writable(output)
    schema = read_schema(output_schema)
    flags = {
        "model": model,
        "base_url": base_url,
        "sandbox": sandbox.value if sandbox else None,
        "policy": policy,
        "workspace_mode": "copy" if copy else None,
        "max_steps": max_steps,
        "max_tool_calls": max_tool_calls,
        "max_tokens": max_tokens,
        "max_cost_usd": max_cost,
        "max_seconds": timeout,
        "temperature": temperature,
        "seed": seed,
    }
    settings = load_settings(flags, os.environ, workspace)
    names = [name.strip() for name in tools.split(",")] if tools is not None else None
    job = read_task(task, file, context)
    view = View(as_json=as_json, quiet=quiet, plain=plain, answer_file=output)
    view.notices(settings.notices)
    if settings.model is None:
        view.notices([NO_MODEL])

    servers, own = tool_servers(settings, workspace, names)
    view.notices(servers.notices if servers else ())

    def make_agent(ask: Approve | None) -> Agent[object]:
        return configured_agent(settings, workspace, own, schema, ask, servers)

    return perform(make_agent, new_task(job), view, asks(approve, as_json=as_json), workspace)


def asks(approve: When | None, *, as_json: bool) -> bool:
    """Whether a person may be asked. Who reads JSON is a program, unless told otherwise."""
    return approve is When.ASK or (approve is None and not as_json)


def configured_agent(
    settings: Settings,
    workspace: Path,
    tools: Sequence[str] | None,
    schema: dict[str, Any] | None,
    approve: Approve | None,
    servers: ToolSource | None = None,
) -> Agent[object]:
    """The agent these settings describe. Raises: as `Agent`."""
    places = paths(os.environ)
    policy = Policy.load(settings.policy, folder=places.policies)
    model = resolve_model(
        settings.model or BUILT_IN,
        base_url=settings.base_url,
        environ=os.environ,
        context_tokens=settings.context_tokens,
    )
    return Agent(
        model,
        tools=tools,
        policy=policy,
        budgets=settings.budgets(policy.budgets),
        sandbox=settings.sandbox,
        sandbox_image=settings.sandbox_image,
        workspace=workspace,
        workspace_mode=settings.workspace_mode,
        sampling=Sampling(
            temperature=settings.temperature,
            seed=settings.seed,
            max_tokens=settings.max_reply_tokens,
        ),
        approve=approve,
        output_schema=schema,
        store=RunStore(places.runs),
        search=settings.search(os.environ),
        servers=servers,
    )


def perform(
    make_agent: Callable[[Approve | None], Agent[Any]],
    open_: Open,
    view: View,
    may_ask: bool,
    workspace: Path,
) -> int:
    """Run what is opened, show it, and give the exit code."""
    fd = person_fd() if may_ask else None
    person = Person(fd) if fd is not None else None
    try:
        outcome = asyncio.run(
            converse(make_agent, open_, view.renderer, person, workspace.absolute())
        )
    except RunBroke as broke:
        view.close(broke.outcome)
        raise
    finally:
        if person:
            person.close()
    view.conclude(outcome)
    return outcome.exit_code
