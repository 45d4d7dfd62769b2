"""The agent that a stored run was done by, made again from what its first event says."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wardian.agent import Agent
from wardian.answers import answer_check
from wardian.approval import Approve
from wardian.cli.additions import Additions, additions
from wardian.cli.model_choice import configured_model
from wardian.cli.servers import tool_servers
from wardian.errors import ConfigurationError, ModelRefused, ModelUnavailable
from wardian.events import RunResumed, RunStarted
from wardian.local_only import check_local, forbid_leaving, narrowed
from wardian.runs import RunStore, Trajectory
from wardian.runs.resume import check_ours
from wardian.settings import Settings, load_settings, paths, policy_in_force, workspace_of
from wardian.types import Model, Sampling
from wardian_policies import Policy
from wardian_policies.errors import PolicyError
from wardian_policies.stored import stored_policy
from wardian_policies.types import Budgets
from wardian_tools import select
from wardian_tools.errors import UnknownTool
from wardian_tools.types import ToolSource

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What the user says otherwise than the stored run; None leaves it as it was."""

    model: str | None = None
    base_url: str | None = None
    sandbox: str | None = None
    temperature: float | None = None
    budgets: Budgets | None = None
    """Those that are None stay"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAgent:
    """How to make it."""

    settings: Settings
    started: RunStarted
    policy: Policy
    budgets: Budgets
    sampling: Sampling
    sandbox: str
    servers: ToolSource | None
    tools: Sequence[str]
    more: Additions
    notices: tuple[str, ...]
    base_url: str | None
    was_at: str | None
    """The server that the run spoke with, where the user names no model and no server now"""

    def make(self, approve: Approve | None = None, model: Model | None = None) -> Agent[Any]:
        """Raises: as `Agent`."""
        recorded = self.started.settings
        agent: Agent[Any] = Agent(
            model or self._model(),
            private_model=self.settings.private_model,
            tools=self.tools,
            more_tools=self.more.tools,
            skills=self.more.extras.skills,
            subagents=self.more.extras.subagents,
            policy=self.policy,
            budgets=self.budgets,
            sandbox=self.sandbox,
            sandbox_image=recorded.get("sandbox_image", ""),
            workspace=self.started.workspace,
            workspace_mode=recorded.get("workspace_mode", "mount"),
            sampling=self.sampling,
            instructions=recorded.get("instructions", ""),
            approve=approve,
            store=store(),
            context_tokens=self.settings.context_tokens,
            search=self.settings.search(os.environ),
            servers=self.servers,
            consent="no" not in (self.settings.consent, recorded.get("consent")),
        )
        agent.check = answer_check(None, recorded.get("output_schema"))
        return agent

    def _model(self) -> Model:
        """Raises: ModelUnavailable, ModelRefused, ConfigurationError."""
        try:
            model = configured_model(replace(self.settings, base_url=self.base_url))
        except (ModelUnavailable, ModelRefused) as error:
            if self.was_at is None:
                raise
            raise ConfigurationError(
                f"The run spoke with {self.settings.model} at {self.was_at}. {error.cause}",
                f"Say --base-url {self.was_at} to go on there, or name another model with -m.",
            ) from error
        if self.settings.local:
            check_local(model, self.sandbox)
        here = model.identity.get("endpoint")
        if self.was_at and here and here != self.was_at and not model.is_local:
            raise ConfigurationError(
                f"The run spoke with {model.name} at {self.was_at}; it would be sent to {here}.",
                f"Say --base-url {self.was_at} to go on there, or -m {model.name} to go on here.",
            )
        return model


def store() -> RunStore:
    return RunStore(paths(os.environ).runs)


def stored_agent(trajectory: Trajectory, chosen: Chosen, *, replays: bool = False) -> StoredAgent:
    """Raises: ConfigurationError, PolicyError."""
    started = trajectory.started
    if started is None:
        raise ConfigurationError(
            f"The first event of run {trajectory.run_id} cannot be read.",
            "`agent runs show` prints what can.",
        )
    recorded = started.settings
    check_ours(trajectory)
    workspace = Path(started.workspace)
    flags = {"model": chosen.model or started.model.get("name"), "base_url": chosen.base_url}
    settings = load_settings(flags, os.environ, workspace if workspace.is_dir() else None)
    policy, notices = policy_of(started, workspace)
    if settings.local:
        forbid_leaving()
        policy = narrowed(policy)
    names = [str(tool["name"]) for tool in started.tools]
    servers, own = tool_servers(settings, policy, workspace, names)
    more = additions(workspace, settings.model, own, may_ask=True)
    tools, gone = known_tools(more.names or ())
    if gone and not replays:
        notices.append(f"Not here any more, so the run goes on without: {', '.join(gone)}.")
    sampling = Sampling(**recorded.get("sampling", {}))
    if chosen.temperature is not None:
        sampling = replace(sampling, temperature=chosen.temperature)
    return StoredAgent(
        settings=settings,
        started=started,
        policy=policy,
        budgets=budgets_of(trajectory, started, chosen.budgets),
        sampling=sampling,
        sandbox=sandbox_of(recorded, chosen, replays),
        servers=servers,
        tools=tools,
        more=more,
        notices=(
            *damage_notices(trajectory),
            *settings.notices,
            *(servers.notices if servers else ()),
            *more.notices,
            *notices,
        ),
        base_url=chosen.base_url or settings.base_url or endpoint_of(started, chosen),
        was_at=None if chosen.model or chosen.base_url else started.model.get("endpoint"),
    )


def damage_notices(trajectory: Trajectory) -> list[str]:
    """What of its log is lost, but for a line whose writing was cut off."""
    return [
        f"line {damage.line} of the trajectory cannot be read, and what it said is missing:"
        f" {damage.problem}"
        for damage in trajectory.damage
        if not damage.is_torn
    ]


def policy_of(started: RunStarted, workspace: Path) -> tuple[Policy, list[str]]:
    """The run's policy as it is now, narrowed by the workspace's own; as it was, where it is no
    more. Raises: PolicyError.
    """
    name = str(started.policy.get("name", "")).partition(" + ")[0]
    try:
        return policy_in_force(name, os.environ, workspace_of(workspace, os.environ)), []
    except PolicyError:
        return stored_policy(started.policy), [f"The policy {name} is gone; used as recorded."]


def sandbox_of(recorded: dict[str, Any], chosen: Chosen, replays: bool) -> str:
    """Raises: ConfigurationError for a run without a sandbox, unless that is said once more."""
    sandbox = chosen.sandbox or recorded.get("sandbox", "auto")
    if sandbox == "none" and chosen.sandbox != "none" and not replays:
        raise ConfigurationError(
            "The run had no sandbox: its calls ran with your own rights.",
            "Say --sandbox none once more to go on so, or choose another one.",
        )
    return str(sandbox)


def endpoint_of(started: RunStarted, chosen: Chosen) -> str | None:
    """The recorded server of a chat model, if it is this machine: a file does not say where your
    keys are sent."""
    endpoint = started.model.get("endpoint")
    if chosen.model or not isinstance(endpoint, str):
        return None
    return endpoint if urlsplit(endpoint).hostname in LOOPBACK else None


def budgets_of(trajectory: Trajectory, started: RunStarted, chosen: Budgets | None) -> Budgets:
    """The last ones in force, with what the user says in their place."""
    recorded: dict[str, Any] = started.policy.get("budgets", {})
    for event in trajectory.events:
        if isinstance(event, RunResumed):
            recorded = event.policy.get("budgets", recorded)
    changes = {name: value for name, value in given(chosen).items() if value is not None}
    return replace(Budgets(**recorded), **changes)


def given(budgets: Budgets | None) -> dict[str, Any]:
    names = ("steps", "tool_calls", "tokens", "cost_usd", "wall_seconds")
    return {name: getattr(budgets, name) for name in names} if budgets else {}


def only(
    *,
    steps: int | None = None,
    tool_calls: int | None = None,
    tokens: int | None = None,
    cost_usd: float | None = None,
    wall_seconds: float | None = None,
) -> Budgets:
    """Budgets of which None is not given."""
    return Budgets(
        steps=steps,
        tool_calls=tool_calls,
        tokens=tokens,
        cost_usd=cost_usd,
        wall_seconds=wall_seconds,
    )


def known_tools(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Of those names the tools that are here, and those that are not."""
    known: list[str] = []
    gone: list[str] = []
    for name in names:
        try:
            select([name])
            known.append(name)
        except UnknownTool:
            gone.append(name)
    return known, gone
