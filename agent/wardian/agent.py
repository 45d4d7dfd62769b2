"""`Agent`: a model, tools, a policy and a sandbox, ready to be given tasks.

This is the one boundary of a run: what the loop raises is recorded here, then raised on.
"""

import asyncio
import copy
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, Self

import wardian_sandbox
from wardian._version import __version__
from wardian.answers import AnswerCheck, answer_check
from wardian.approval import Approve, Grants
from wardian.beginning import Beginning, go_on, resumed_event
from wardian.budget import NOTHING, Amount, Ledger
from wardian.children import Caller, Children
from wardian.compaction import Window, fitting
from wardian.ending import finish, why
from wardian.errors import ConfigurationError, StorageError, WardianError
from wardian.events import Event, RunFinished, RunStarted
from wardian.limits import Meter
from wardian.loop import Run, pursue
from wardian.models.catalogue import resolve_model
from wardian.privacy import Screen, Session
from wardian.prompt import Conversation, system_prompt
from wardian.recorder import RunRecorder
from wardian.results import RunResult, T
from wardian.run_box import RunBox
from wardian.runs import RunLog, RunStore, new_run_id
from wardian.screens import screen_for
from wardian.settings import guarded, paths, policy_in_force, workspace_of
from wardian.skills import SKILL, Skill, listing, skill_tool
from wardian.subagents import (
    SubAgent,
    chosen,
    delegate,
    effects_of,
    with_all_below,
)
from wardian.types import Message, Model, Role, Sampling, Startable, Stop, Task, ToolSpec
from wardian_policies import Policy
from wardian_policies.narrowing import least_budgets
from wardian_policies.types import Budgets
from wardian_sandbox.choosing import Choice, choose
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.types import Sandbox
from wardian_tools import (
    Effect,
    Registry,
    SearchEngine,
    Tool,
    select,
    tool,
    usual_tools,
)
from wardian_tools.types import AskUser, Question, ToolSource


class Agent(Generic[T]):
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
        self.check: AnswerCheck[T] = answer_check(output_type, output_schema)
        self.tags = tuple(tags)
        self.store = _as_store(store)
        self.subagents = tuple(subagents)
        self.skills = tuple(skills)
        self.private_model = (
            resolve_model(private_model) if isinstance(private_model, str) else private_model
        )
        if self.private_model and not self.private_model.is_local:
            raise ConfigurationError(
                f"The private model {self.private_model.name} is not on this machine.",
                "Name one that is, such as tiny or gguf:PATH.",
            )
        self.session = Session()
        self.caller: Caller | None = None
        self.group: dict[str, Any] = {}
        """What runs it is one of several attempts with, for the trajectory"""
        self.child_models: dict[str, Model] = {}
        for definition in self.subagents:
            chosen(definition, list(self.registry))

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

    async def perform(self, beginning: Beginning) -> RunResult[T]:
        """Do what `beginning` says. Raises: as `run`."""
        schema = beginning.task.output_schema
        if schema is not None and self.check.schema is None:
            typed = copy.copy(self)
            typed.check = answer_check(None, schema)
            return await typed.perform(beginning)
        if not self.workspace.is_dir() or not os.access(self.workspace, os.R_OK | os.X_OK):
            raise ConfigurationError(
                f"The workspace {self.workspace} is not a folder that can be read.",
                "Name one with --workspace.",
            )
        beginning = replace(beginning, run_id=beginning.run_id or new_run_id())
        choice = await self._choose_sandbox()
        if isinstance(self.model, Startable):
            await self.model.start()
        async with AsyncExitStack() as stack:
            log = self._log(beginning)
            if log:
                stack.callback(log.close)
            beginning = await self._prepared(beginning, log)
            steps = beginning.branch.steps if beginning.branch else 0
            meter = Meter(ledger=beginning.ledger, steps=steps)
            stack.callback(meter.close)
            screen = self._screen(log)
            recorder = RunRecorder(log, Conversation(), meter, beginning.listener, screen)
            box = self._box(beginning, choice.backend, recorder, log)
            stack.push_async_callback(box.close)
            run = self._assemble(beginning.run_id, recorder, box)
            try:
                finished = await self._supervise(
                    run, await self._begun(run, recorder, beginning, choice, log)
                )
            except BaseException as error:
                screen.cleaned(error)
                raise
        return self._result(run, screen.shown(finished), log)

    async def _begun(
        self,
        run: Run,
        recorder: RunRecorder,
        beginning: Beginning,
        choice: Choice,
        log: RunLog | None,
    ) -> Callable[[Run], Awaitable[Stop]]:
        """`_begin`; a new run whose first event cannot be kept leaves nothing in the store."""
        try:
            return await self._begin(run, recorder, beginning, choice)
        except StorageError:
            if log and not beginning.resumption:
                log.discard()
            raise

    def _log(self, beginning: Beginning) -> RunLog | None:
        if not self.store or not beginning.keep:
            return None
        if beginning.resumption:
            lines = beginning.resumption.continuation.lines
            return RunLog.reopen(self.store.root / beginning.run_id, lines=lines)
        return self.store.create(beginning.run_id)

    async def _prepared(self, beginning: Beginning, log: RunLog | None) -> Beginning:
        if not beginning.prepare:
            return beginning
        try:
            return await asyncio.to_thread(beginning.prepare, beginning)
        except BaseException:
            if log and not beginning.resumption:
                log.discard()
            raise

    async def _begin(
        self, run: Run, recorder: RunRecorder, beginning: Beginning, choice: Choice
    ) -> Callable[[Run], Awaitable[Stop]]:
        """Record that it begins; gives what then does the work. Raises: StorageError."""
        resumption = beginning.resumption
        if resumption is None:
            await recorder.record(self._started(run, beginning, choice))
            return pursue
        recorder.recall(resumption.continuation.events)
        run.meter.strikes = 0  # the user says go on
        await recorder.record(resumed_event(resumption, run, asdict(choice)))
        return lambda run: go_on(run, resumption)

    async def _choose_sandbox(self) -> Choice:
        """Which sandbox the calls will run in: what is lacking is said before the model is asked.

        Raises: SandboxUnavailable.
        """
        lends = bool(self.subagents) and self.workspace_mode == "copy"
        if not lends and not any(t.uses_sandbox for t in self.registry):
            return Choice("unused")
        reaches_hosts = bool(self.policy.confinement.egress.hosts)
        return await choose(self.sandbox, self.sandbox_image, reaches_hosts=reaches_hosts)

    def _box(
        self, beginning: Beginning, backend: str, recorder: RunRecorder, log: RunLog | None
    ) -> RunBox:
        theirs = self.caller.call.sandbox if self.caller else None
        if self.workspace_mode == "copy" and isinstance(theirs, wardian_sandbox.SupervisedSandbox):
            lender = theirs

            def lent() -> Awaitable[Sandbox]:
                return lender.fresh(mode="copy", within=self.policy.confinement)

            return RunBox(lent, recorder.record, bring_back=True)

        workspace = beginning.place or self.workspace

        def opening() -> Awaitable[Sandbox]:
            return wardian_sandbox.open_sandbox(
                backend,
                workspace,
                self.policy.confinement,
                mode="mount" if beginning.place else self.workspace_mode,
                image=self.sandbox_image,
                run=beginning.run_id,
                on_egress=recorder.note_egress,
            )

        keeping = (log.folder, workspace) if log else None
        return RunBox(opening, recorder.record, keeping=keeping)

    def _screen(self, log: RunLog | None) -> Screen:
        """What this run hides. Raises: ConfigurationError for a key that is none."""
        models = [self.model, *([self.private_model] if self.private_model else [])]
        return screen_for(
            self.policy,
            os.environ,
            models=models,
            session=self.session,
            workspace=self.workspace,
            folder=log.folder if log else None,
            holders=[self.servers],
        )

    def _window(self) -> Window | None:
        """How much the model can read: as the caller or the model itself says."""
        identity = self.model.identity
        known = self.context_tokens or identity.get("context_tokens")
        return Window(known, identity.get("reply_tokens")) if isinstance(known, int) else None

    def _assemble(self, run_id: str, recorder: RunRecorder, box: RunBox) -> Run:
        run = Run(
            id=run_id,
            model=self.model,
            registry=self.registry,
            specs=(),
            window=self._window(),
            policy=self.policy,
            box=box,
            recorder=recorder,
            conversation=recorder.conversation,
            meter=recorder.meter,
            labels=recorder.labels,
            screen=recorder.screen,
            sampling=self.sampling,
            private_model=self.private_model,
            approve=self.approve,
            grants=self.grants,
            ask_user=self.ask_user,
            check_answer=self.check.problem,
            output_schema=recorder.screen.hidden(self.check.schema),
        )
        if delegates := self._delegates(run):
            run.registry = Registry([*self.registry, *delegates])
        specs = (
            ToolSpec(name=t.name, description=t.description, parameters=t.parameters)
            for t in run.registry
        )
        run.specs = fitting(run.screen.hidden(tuple(specs)), run.window)
        return run

    def _delegates(self, run: Run) -> list[Tool]:
        """The tools that call this agent's sub-agents, for one run."""
        depth = self.caller.depth + 1 if self.caller else 1
        if depth > self.policy.agents.depth:
            return []
        children = Children(run, depth, self.policy.agents.parallel)

        def made(definition: SubAgent) -> Tool:
            start = partial(children.perform, definition, self._as_child)
            effects = effects_of(definition, list(self.registry))
            if self.model.is_local and not all(map(self._stays_here, with_all_below(definition))):
                effects |= {Effect.EGRESS}
            return delegate(definition, effects, start, in_copy=self.workspace_mode == "copy")

        return [made(definition) for definition in self.subagents]

    def _as_child(self, definition: SubAgent, caller: Caller, asking: asyncio.Lock) -> "Agent[Any]":
        """This agent as one of its sub-agents: what is not said otherwise stays as it is."""
        child: Agent[Any] = copy.copy(self)
        budgets = definition.budgets
        if definition.policy:
            child.policy = self.policy.narrowed_by(definition.policy)
            budgets = least_budgets(budgets, definition.policy.budgets)
        child.policy = child.policy.with_budgets(budgets)  # and its caller's, by the ledger
        child.registry = Registry(chosen(definition, list(self.registry)))
        child.model = self._model_of(definition)
        child.instructions = definition.instructions
        child.subagents = definition.subagents
        child.check = answer_check(None, None)
        child.caller = caller
        if ask_user := self.ask_user:

            async def one_question(question: Question) -> str | None:
                async with asking:
                    return await ask_user(question)

            child.ask_user = one_question
        return child

    def _stays_here(self, definition: SubAgent) -> bool:
        """Is a sub-agent's model on this machine? One that cannot be had says so when called."""
        try:
            return self._model_of(definition).is_local
        except WardianError:
            return False

    def _model_of(self, definition: SubAgent) -> Model:
        """The model of a sub-agent; one that is named is loaded once."""
        if not isinstance(definition.model, str):
            return definition.model or self.model
        if definition.model not in self.child_models:
            self.child_models[definition.model] = resolve_model(definition.model)
        return self.child_models[definition.model]

    def _started(self, run: Run, beginning: Beginning, choice: Choice) -> RunStarted:
        branch = beginning.branch
        return RunStarted(
            run_id=run.id,
            task=beginning.task,
            system_prompt=system_prompt(
                self.instructions,
                output_schema=self.check.schema,
                skills=listing(self.skills) if SKILL in run.registry else "",
            ),
            model={"name": self.model.name, "is_local": self.model.is_local} | self.model.identity,
            tools=tuple(
                {
                    "name": t.name,
                    "description": t.description,
                    "parameters": t.parameters,
                    "effects": sorted(t.effects),
                }
                for t in run.registry
            ),
            policy=self.policy.as_json(),
            sandbox=asdict(choice),
            workspace=str(self.workspace),
            wardian_version=__version__,
            earlier=tuple(m for m in beginning.earlier if m.role is not Role.SYSTEM),
            tags=self.tags,
            parent=self.caller.as_json() if self.caller else {},
            group=self.group,
            spent=run.meter.ledger.before.as_json(),
            flow=self.caller.run.labels.state.as_json() if self.caller else {},
            settings=self.settings_json(beginning.place),
            fork=branch.fork if branch else {},
            prefix=branch.prefix if branch else (),
        )

    def settings_json(self, place: Path | None = None) -> dict[str, Any]:
        """What a run can be resumed, replayed or forked with, where no other event says it."""
        chosen: dict[str, Any] = {
            "sampling": {k: v for k, v in asdict(self.sampling).items() if v is not None},
            "workspace_mode": self.workspace_mode,
            "sandbox": self.sandbox,
            "sandbox_image": self.sandbox_image,
            "instructions": self.instructions,
            "output_schema": self.check.schema,
            "place": str(place) if place else None,
        }
        return {key: value for key, value in chosen.items() if value}

    async def _supervise(
        self, run: Run, pursuit: Callable[[Run], Awaitable[Stop]] = pursue
    ) -> RunFinished:
        """Run the loop under the clock and record how it ended, whatever that was."""
        seconds = run.meter.ledger.left(Stop.TIME)
        try:
            async with asyncio.timeout(seconds):
                stop = await pursuit(run)
        except TimeoutError:
            stop = Stop.TIME
        except asyncio.CancelledError:
            await asyncio.shield(finish(run, Stop.CANCELLED, "The run was cancelled."))
            raise
        except BaseExceptionGroup as group:
            # A TaskGroup wraps what one of several parallel calls raised.
            await finish(run, Stop.FAILED, str(group.exceptions[0]))
            raise group.exceptions[0] from None
        except (WardianError, SandboxError) as error:
            with suppress(WardianError, SandboxError):
                await finish(run, Stop.FAILED, str(error))
            raise
        return await finish(run, stop, why(stop, run))

    def _result(self, run: Run, finished: RunFinished, log: RunLog | None) -> RunResult[T]:
        return RunResult(
            run_id=run.id,
            answer=finished.answer,
            value=self.check.value(finished.answer) if finished.stop is Stop.DONE else None,
            stop=finished.stop,
            steps=finished.steps,
            tool_calls=finished.tool_calls,
            usage=finished.usage,
            seconds=finished.seconds,
            error=finished.error,
            path=log.path if log else None,
            spent=run.meter.ledger.spent,
            flow=run.labels.state,
            messages=run.conversation.closed(),
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
