"""`Agent`: a model, tools, a policy and a sandbox, ready to be given tasks."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from wardian.answers import answer_check
from wardian.approval import Approve, Grants
from wardian.beginning import Beginning
from wardian.budget import NOTHING, Amount, Ledger
from wardian.errors import ConfigurationError, ModelRefused
from wardian.events import Event
from wardian.hiding import HidesPaths, hides
from wardian.models.catalogue import resolve_model
from wardian.performing import PerformingAgent
from wardian.privacy import Session
from wardian.results import RunResult, T
from wardian.runs import RunStore
from wardian.settings import guarded, paths, policy_in_force, workspace_of
from wardian.skills import Skill, skill_tool
from wardian.subagents import SubAgent, chosen
from wardian.types import Message, Model, Sampling, Task
from wardian_policies import Policy
from wardian_policies.types import Budgets
from wardian_tools import Registry, SearchEngine, Tool, select, tool, usual_tools
from wardian_tools.types import AskUser, ToolSource


class Agent(PerformingAgent[T]):
    """Runs tasks. One agent may run several at once; they share the model, nothing else.

    Args:
        model: `tiny`, `gguf:PATH`, `openai/NAME`, `ollama/NAME`, …, or a `Model`.
        tools: Tools, typed functions, or names; None is the built-in set.
        policy: A preset's name, a policy file, or a `Policy`.
        sandbox: `auto`, `bubblewrap`, `docker`, `gvisor`, or `none` (no protection at all).
        sandbox_image: for docker and gvisor; empty is the one `agent sandbox build` made.
        workspace: The folder the tools act in.
        workspace_mode: `mount` changes it as the run goes; `copy` works on a copy and leaves it.
        budgets: Replaces the policy's budgets.
        instructions: Added to the system prompt.
        approve: Asked where the policy asks; None ends such a run with `Stop.APPROVAL`.
        ask_user: Answers the questions of the tool of that name; None: nobody can be asked.
        output_type: A type pydantic can validate: the answer must be JSON of it.
        output_schema: The same as a JSON schema; `value` is then the parsed JSON.
        context_tokens: What the model can read at once; None is what the model says of itself.
        store: Where runs are kept; None is the user's own, False keeps nothing.
        private_model: A local model for what the policy keeps on this machine.
        subagents: What it may give tasks to; each is a tool for the model.
        skills: Instructions for kinds of tasks, read when one is needed.
        more_tools: Beside `tools`, whatever that is.
        search: The engine that `web_search` asks; None is DuckDuckGo.
        consent: False marks its runs as not to be exported.
        servers: More tools, with what stands behind them (`McpServers`); closed with the agent.

    Raises: ConfigurationError, PolicyFileError, ModelUnavailable, ToolDefinitionError, UnknownTool.
    """

    def __init__(
        self,
        model: Model | str = "tiny",
        *,
        tools: Sequence[Tool | Callable[..., object] | str] | None = None,
        policy: Policy | str | Path = "default",
        sandbox: str = "auto",
        sandbox_image: str = "",
        workspace: Path | str = ".",
        workspace_mode: str = "mount",
        budgets: Budgets | None = None,
        sampling: Sampling | None = None,
        instructions: str = "",
        approve: Approve | None = None,
        ask_user: AskUser | None = None,
        output_type: type[T] | None = None,
        output_schema: dict[str, Any] | None = None,
        store: RunStore | bool | None = None,
        base_url: str | None = None,
        private_model: Model | str | None = None,
        context_tokens: int | None = None,
        tags: Sequence[str] = (),
        consent: bool = True,
        subagents: Sequence[SubAgent] = (),
        skills: Sequence[Skill] = (),
        more_tools: Sequence[Tool] = (),
        search: SearchEngine | None = None,
        servers: ToolSource | None = None,
    ) -> None:
        self.policy = load_policy(policy, Path(workspace))
        if budgets is not None:
            self.policy = self.policy.with_budgets(budgets)
        more = [*more_tools, *(servers.tools if servers else ())]
        if skills:
            more.append(skill_tool(skills))
        self.registry = Registry([*_as_tools(tools, self.policy, search or SearchEngine()), *more])
        self.servers = servers
        self.model = resolve_model(model, base_url=base_url) if isinstance(model, str) else model
        self.workspace = Path(workspace).expanduser().absolute()
        self.sandbox = sandbox
        self.sandbox_image = sandbox_image
        self.workspace_mode = workspace_mode
        self.sampling = sampling or Sampling()
        self.context_tokens = context_tokens
        self.instructions = instructions
        self.approve = approve
        self.grants = Grants()
        self.ask_user = ask_user
        self.check = answer_check(output_type, output_schema)
        self.tags = tuple(tags)
        self.consent = consent
        self.store = _as_store(store)
        self.subagents = tuple(subagents)
        self.skills = tuple(skills)
        self.private_model = _on_this_machine(private_model)
        self.session = Session()
        self.caller = None
        self.group = {}
        self.child_models = {}
        for definition in self.subagents:
            chosen(definition, list(self.registry))
        if isinstance(servers, HidesPaths):
            servers.hide(self.policy.flow.private_paths if hides(self) else ())

    async def run(
        self,
        task: str | Task,
        *,
        earlier: Sequence[Message] = (),
        spent: Amount = NOTHING,
        within: Ledger | None = None,
    ) -> RunResult[T]:
        """Do the task and give what came of it. A limit reached is a result, not an error.

        `earlier` and `spent` are the messages and the consumption of a run that this goes on from;
        what it spent counts against this one's budgets. It draws on the budgets `within` too,
        which several runs may share.
        Raises: ModelError, StorageError, SandboxError; the run is stored up to there. When the
            task of the caller is cancelled the run is recorded as cancelled first.
        """
        return await self.perform(self.beginning(task, earlier=earlier, spent=spent, within=within))

    def run_sync(self, task: str | Task) -> RunResult[T]:
        """`run` for programs without an event loop; closes the model afterwards."""

        async def once() -> RunResult[T]:
            async with self:
                return await self.run(task)

        return asyncio.run(once())

    async def stream(
        self, task: str | Task, *, earlier: Sequence[Message] = (), spent: Amount = NOTHING
    ) -> AsyncGenerator[Event, None]:
        """Events as they happen, deltas included; the last is `RunFinished`.

        Closing the iterator cancels the run. Raises: as `run`, after the events so far.
        """
        beginning = self.beginning(task, earlier=earlier, spent=spent)
        async with aclosing(self.follow(beginning)) as events:
            async for event in events:
                yield event

    def beginning(
        self,
        task: str | Task,
        *,
        earlier: Sequence[Message] = (),
        spent: Amount = NOTHING,
        within: Ledger | None = None,
    ) -> Beginning:
        """A new run of this agent."""
        task = Task(prompt=task) if isinstance(task, str) else task
        ledger = Ledger(self.policy.budgets, parent=within, spent=spent)
        return Beginning(task=task, ledger=ledger, earlier=earlier)

    async def follow(self, beginning: Beginning) -> AsyncGenerator[Event, None]:
        """`perform`, as `stream` gives a task's events. Raises: as `run`."""
        events: asyncio.Queue[Event | None] = asyncio.Queue()

        async def follow() -> None:
            try:
                await self.perform(replace(beginning, listener=events.put_nowait))
            finally:
                events.put_nowait(None)

        running = asyncio.create_task(follow())
        try:
            while (event := await events.get()) is not None:
                yield event
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def close(self) -> None:
        """Release the model, and end the tool servers."""
        if self.servers:
            await self.servers.close()
        private = [self.private_model] if self.private_model else []
        for model in (self.model, *private, *self.child_models.values()):
            await model.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _on_this_machine(model: Model | str | None) -> Model | None:
    """Raises: ConfigurationError for a model that is elsewhere."""
    try:
        found = resolve_model(model) if isinstance(model, str) else model
    except ModelRefused:  # it lacks a key, so it is a provider's
        found = None
    if (found is not None and found.is_local) or model is None:
        return found
    raise ConfigurationError(
        f"The private model {model if isinstance(model, str) else model.name} is not on this"
        " machine.",
        "Name one that is, such as tiny or gguf:PATH.",
    )


def load_policy(policy: Policy | str | Path, workspace: Path) -> Policy:
    """The policy given, or a preset, one of the user's own by name, or a policy file.

    One that is named is narrowed by the workspace's own, where the user trusts that folder.
    """
    if isinstance(policy, Policy):
        return guarded(policy, workspace, os.environ)
    return policy_in_force(policy, os.environ, workspace_of(workspace, os.environ))


def _as_tools(
    tools: Sequence[Tool | Callable[..., object] | str] | None,
    policy: Policy,
    search: SearchEngine,
) -> list[Tool]:
    if tools is None:
        return list(usual_tools(policy.confinement.egress, search))
    found: list[Tool] = []
    for item in tools:
        if isinstance(item, Tool):
            found.append(item)
        elif isinstance(item, str):
            found.extend(select([item], engine=search))
        else:
            found.append(tool(item))
    return found


def _as_store(store: RunStore | bool | None) -> RunStore | None:
    if isinstance(store, RunStore):
        return store
    return None if store is False else RunStore(paths(os.environ).runs)
