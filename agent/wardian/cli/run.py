"""`agent run`: give the agent a task."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from wardian.agent import Agent
from wardian.approval import Approve
from wardian.cli.additions import Additions, additions
from wardian.cli.approve import Person
from wardian.cli.complaint import say_unconfined
from wardian.cli.model_choice import configured_model, with_model
from wardian.cli.outcome import RunBroke
from wardian.cli.run_options import (
    Adapter,
    AnswerFile,
    ApproveWhen,
    CallStyleName,
    Context,
    Copy,
    CriticName,
    Images,
    Json,
    Local,
    MaxCost,
    MaxSteps,
    MaxTokens,
    MaxToolCalls,
    ModelName,
    OutputSchema,
    Plain,
    PolicyName,
    PrivateModel,
    Quiet,
    Refine,
    RubricFile,
    Samples,
    SandboxName,
    Seed,
    Select,
    SelectBy,
    TaskArgument,
    TaskFile,
    Temperature,
    Timeout,
    Tools,
    Url,
    VerifierOption,
    When,
    Workspace,
    check_writable,
    read_schema,
)
from wardian.cli.servers import tool_servers
from wardian.cli.session import Open, converse, new_task
from wardian.cli.task_input import UsageError, pictures, read_task
from wardian.cli.terminal import person_fd
from wardian.cli.view import View
from wardian.local_only import check_local, forbid_leaving, narrowed
from wardian.runs import RunStore
from wardian.settings import Settings, load_settings, paths, policy_in_force, workspace_of
from wardian.settings.saving import RulePlace, rule_place
from wardian.types import Sampling
from wardian_policies import Policy
from wardian_tools import own_tools, why_no_search
from wardian_tools.types import ToolSource


def register(app: typer.Typer) -> None:
    app.command("run", epilog='Example: agent run "How many lines are in README.md?"')(run)


def run(
    task: TaskArgument = None,
    *,
    file: TaskFile = None,
    context: Context = None,
    image: Images = None,
    model: ModelName = None,
    base_url: Url = None,
    private_model: PrivateModel = None,
    local: Local = False,
    call_style: CallStyleName = None,
    adapter: Adapter = None,
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
    samples: Samples = 1,
    select: SelectBy = Select.VOTE,
    verifier: VerifierOption = None,
    refine: Refine = 0,
    rubric: RubricFile = None,
    critic: CriticName = None,
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
        "private_model": private_model,
        "local": local or None,
        "call_style": call_style.value if call_style else None,
        "adapter": adapter,
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
    if image:
        job = replace(job, images=pictures(image))
    view = View(as_json=as_json, quiet=quiet, plain=plain, answer_file=output)
    view.answers_json = schema is not None
    view.notices(settings.notices)
    settings = with_model(settings, view.notices)

    if settings.local:
        forbid_leaving()
    rules = policy_in_force(settings.policy, os.environ, workspace_of(workspace, os.environ))
    view.notices(rules.remarks([tool.name for tool in own_tools()]))
    granted = narrowed(rules) if settings.local else rules
    servers, own = tool_servers(settings, granted, workspace, names)
    view.notices(servers.notices if servers else ())

    may_ask = asks(approve, as_json=as_json)
    more = additions(workspace, settings.model, own, may_ask=may_ask)
    view.notices([*more.notices, *no_search(settings, granted, own)])

    def make_agent(ask: Approve | None) -> Agent[object]:
        return configured_agent(settings, rules, workspace, more, schema, ask, servers)

    if samples > 1 or refine or verifier is not None:
        # Who wants one attempt does not wait for it.
        from wardian.cli.scaled import Scaling, perform_scaled
        from wardian.cli.verifier_option import chosen_verifier

        say_unconfined(settings.sandbox)
        how = Scaling(
            samples=samples,
            select=select.value,
            verifier=chosen_verifier(verifier, select.value, samples),
            rounds=refine,
            rubric=rubric,
            critic=critic,
        )
        return perform_scaled(make_agent, job, view, how)
    if rubric or critic or select is not Select.VOTE:
        raise UsageError(
            "--select, --rubric and --critic are about several attempts, and there is to be one.",
            "Add --samples N or --refine N, or leave them out.",
        )
    place = rule_place(settings, os.environ)
    return perform(make_agent, new_task(job), view, may_ask, workspace, place)


def no_search(settings: Settings, policy: Policy, names: Sequence[str] | None) -> list[str]:
    """Why an engine that the user has set is not searched, in a run that reaches the web."""
    is_set = any(settings.origin(key) != "default" for key in ("search_engine", "search_url"))
    egress = policy.confinement.egress
    if not is_set or names is not None or not (egress.hosts or egress.any_web):
        return []
    why = why_no_search(egress, settings.search(os.environ))
    return [f"web_search is not offered. {why}"] if why else []


def asks(approve: When | None, *, as_json: bool) -> bool:
    """Whether a person may be asked. Who reads JSON is a program, unless told otherwise."""
    return approve is When.ASK or (approve is None and not as_json)


def configured_agent(
    settings: Settings,
    policy: Policy,
    workspace: Path,
    more: Additions,
    schema: dict[str, Any] | None,
    approve: Approve | None,
    servers: ToolSource | None = None,
) -> Agent[object]:
    """The agent these settings describe. Raises: as `Agent`."""
    places = paths(os.environ)
    model = configured_model(settings)
    if settings.local:
        check_local(model, settings.sandbox)
        policy = narrowed(policy)
    return Agent(
        model,
        private_model=settings.private_model,
        tools=more.names,
        more_tools=more.tools,
        instructions=more.extras.instructions,
        skills=more.extras.skills,
        subagents=more.extras.subagents,
        policy=policy,
        budgets=settings.budgets(policy.layers[0].budgets, policy.added_budgets),
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
        context_tokens=settings.context_tokens,
        store=RunStore(places.runs),
        search=settings.search(os.environ),
        servers=servers,
        consent=settings.consent == "yes",
    )


def perform(
    make_agent: Callable[[Approve | None], Agent[Any]],
    open_: Open,
    view: View,
    may_ask: bool,
    workspace: Path,
    place: RulePlace | None = None,
) -> int:
    """Run what is opened, show it, and give the exit code."""
    fd = person_fd() if may_ask else None
    person = Person(fd) if fd is not None else None
    try:
        outcome = asyncio.run(
            converse(make_agent, open_, view.renderer, person, workspace.absolute(), place)
        )
    except RunBroke as broke:
        view.close(broke.outcome)
        raise
    finally:
        if person:
            person.close()
    view.conclude(outcome)
    return outcome.exit_code
