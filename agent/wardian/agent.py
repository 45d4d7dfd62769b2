"""`Agent`: a model, tools, a policy and a sandbox, ready to be given tasks.

This is the one boundary of a run: what the loop raises is recorded here, then raised on.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, Self

import wardian_sandbox
from wardian._version import __version__
from wardian.answers import AnswerCheck, answer_check
from wardian.compaction import Window, fitting
from wardian.errors import ConfigurationError, WardianError
from wardian.events import Event, RunFinished, RunStarted
from wardian.limits import Meter
from wardian.loop import Approve, Run, pursue
from wardian.models.catalogue import resolve_model
from wardian.prompt import Conversation, system_prompt
from wardian.recorder import RunRecorder
from wardian.results import RunResult, T
from wardian.run_box import RunBox
from wardian.runs import RunLog, RunStore, new_run_id
from wardian.settings import paths
from wardian.types import Message, Model, Role, Sampling, Startable, Stop, Task, ToolSpec
from wardian_policies import Policy
from wardian_policies.types import Budgets
from wardian_sandbox.choosing import Choice, choose
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.types import Sandbox
from wardian_tools import Registry, Tool, builtin_tools, select, tool


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
        output_type: A type pydantic can validate: the answer must be JSON of it.
        output_schema: The same as a JSON schema; `value` is then the parsed JSON.
        context_tokens: What the model can read at once; None is what the model says of itself.
        store: Where runs are kept; None is the user's own, False keeps nothing.

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
        output_type: type[T] | None = None,
        output_schema: dict[str, Any] | None = None,
        store: RunStore | bool | None = None,
        base_url: str | None = None,
        context_tokens: int | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        self.policy = policy if isinstance(policy, Policy) else load_policy(policy)
        if budgets is not None:
            self.policy = self.policy.with_budgets(budgets)
        self.registry = Registry(_as_tools(tools))
        self.model = resolve_model(model, base_url=base_url) if isinstance(model, str) else model
        self.workspace = Path(workspace).expanduser().absolute()
        self.sandbox = sandbox
        self.sandbox_image = sandbox_image
        self.workspace_mode = workspace_mode
        self.sampling = sampling or Sampling()
        self.context_tokens = context_tokens
        self.instructions = instructions
        self.approve = approve
        self.check: AnswerCheck[T] = answer_check(output_type, output_schema)
        self.tags = tuple(tags)
        self.store = _as_store(store)

    async def run(self, task: str | Task, *, earlier: Sequence[Message] = ()) -> RunResult[T]:
        """Do the task and give what came of it. A limit reached is a result, not an error.

        Raises: ModelError, StorageError, SandboxError; the run is stored up to there. When the
            task of the caller is cancelled the run is recorded as cancelled first.
        """
        return await self._perform(task, earlier, lambda _: None)

    def run_sync(self, task: str | Task) -> RunResult[T]:
        """`run` for programs without an event loop; closes the model afterwards."""

        async def once() -> RunResult[T]:
            async with self:
                return await self.run(task)

        return asyncio.run(once())

    async def stream(
        self, task: str | Task, *, earlier: Sequence[Message] = ()
    ) -> AsyncGenerator[Event, None]:
        """Events as they happen, deltas included; the last is `RunFinished`.

        Closing the iterator cancels the run. Raises: as `run`, after the events so far.
        """
        events: asyncio.Queue[Event | None] = asyncio.Queue()

        async def perform() -> None:
            try:
                await self._perform(task, earlier, events.put_nowait)
            finally:
                events.put_nowait(None)

        running = asyncio.create_task(perform())
        try:
            while (event := await events.get()) is not None:
                yield event
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def close(self) -> None:
        """Release the model."""
        await self.model.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _perform(
        self, task: str | Task, earlier: Sequence[Message], listener: Callable[[Event], None]
    ) -> RunResult[T]:
        task = Task(prompt=task) if isinstance(task, str) else task
        if not self.workspace.is_dir() or not os.access(self.workspace, os.R_OK | os.X_OK):
            raise ConfigurationError(
                f"The workspace {self.workspace} is not a folder that can be read.",
                "Name one with --workspace.",
            )
        run_id = new_run_id()
        choice = await self._choose_sandbox()
        if isinstance(self.model, Startable):
            await self.model.start()
        async with AsyncExitStack() as stack:
            log = self.store.create(run_id) if self.store else None
            if log:
                stack.callback(log.close)
            recorder = RunRecorder(log, Conversation(), Meter(), listener)
            box = self._box(run_id, choice.backend, recorder)
            stack.push_async_callback(box.close)
            run = self._assemble(run_id, recorder, box)
            await run.recorder.record(self._started(run, task, earlier, choice))
            finished = await self._supervise(run)
        return self._result(run, finished, log)

    async def _choose_sandbox(self) -> Choice:
        """Which sandbox the calls will run in: what is lacking is said before the model is asked.

        Raises: SandboxUnavailable.
        """
        if not any(t.uses_sandbox for t in self.registry):
            return Choice("unused")
        reaches_hosts = bool(self.policy.confinement.egress.hosts)
        return await choose(self.sandbox, self.sandbox_image, reaches_hosts=reaches_hosts)

    def _box(self, run_id: str, backend: str, recorder: RunRecorder) -> RunBox:
        def opening() -> Awaitable[Sandbox]:
            return wardian_sandbox.open_sandbox(
                backend,
                self.workspace,
                self.policy.confinement,
                mode=self.workspace_mode,
                image=self.sandbox_image,
                run=run_id,
                on_egress=recorder.note_egress,
            )

        return RunBox(opening, recorder.record)

    def _window(self) -> Window | None:
        """How much the model can read: as the caller or the model itself says."""
        identity = self.model.identity
        known = self.context_tokens or identity.get("context_tokens")
        return Window(known, identity.get("reply_tokens")) if isinstance(known, int) else None

    def _assemble(self, run_id: str, recorder: RunRecorder, box: RunBox) -> Run:
        window = self._window()
        specs = tuple(
            ToolSpec(name=t.name, description=t.description, parameters=t.parameters)
            for t in self.registry
        )
        return Run(
            id=run_id,
            model=self.model,
            registry=self.registry,
            specs=fitting(specs, window),
            window=window,
            policy=self.policy,
            box=box,
            recorder=recorder,
            conversation=recorder.conversation,
            meter=recorder.meter,
            sampling=self.sampling,
            approve=self.approve,
            check_answer=self.check.problem,
            output_schema=self.check.schema,
        )

    def _started(
        self, run: Run, task: Task, earlier: Sequence[Message], choice: Choice
    ) -> RunStarted:
        return RunStarted(
            run_id=run.id,
            task=task,
            system_prompt=system_prompt(self.instructions, output_schema=self.check.schema),
            model={"name": self.model.name, "is_local": self.model.is_local} | self.model.identity,
            tools=tuple(
                {
                    "name": t.name,
                    "description": t.description,
                    "parameters": t.parameters,
                    "effects": sorted(t.effects),
                }
                for t in self.registry
            ),
            policy=self.policy.as_json(),
            sandbox=asdict(choice),
            workspace=str(self.workspace),
            wardian_version=__version__,
            earlier=tuple(m for m in earlier if m.role is not Role.SYSTEM),
            tags=self.tags,
        )

    async def _supervise(self, run: Run) -> RunFinished:
        """Run the loop under the clock and record how it ended, whatever that was."""
        seconds = self.policy.budgets.wall_seconds
        try:
            async with asyncio.timeout(seconds):
                stop = await pursue(run)
        except TimeoutError:
            stop = Stop.TIME
        except asyncio.CancelledError:
            await asyncio.shield(_finish(run, Stop.CANCELLED, "The run was cancelled."))
            raise
        except BaseExceptionGroup as group:
            # A TaskGroup wraps what one of several parallel calls raised.
            await _finish(run, Stop.FAILED, str(group.exceptions[0]))
            raise group.exceptions[0] from None
        except (WardianError, SandboxError) as error:
            with suppress(WardianError, SandboxError):
                await _finish(run, Stop.FAILED, str(error))
            raise
        return await _finish(run, stop, _why(stop, run, self.policy))

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
            messages=run.conversation.closed(),
        )


async def _finish(run: Run, stop: Stop, error: str) -> RunFinished:
    """Record the run's end: its last text, its changes to the workspace, what it consumed."""
    changes = await run.box.diff() if stop is not Stop.FAILED else ()
    finished = RunFinished(
        stop=stop,
        answer=next((m.content for m in reversed(run.conversation.messages) if _is_text(m)), ""),
        steps=run.meter.steps,
        tool_calls=run.meter.tool_calls,
        usage=run.meter.usage,
        seconds=run.meter.seconds,
        error=error,
        changes=tuple(asdict(change) for change in changes),
    )
    await run.recorder.record(finished)
    return finished


def _is_text(message: Message) -> bool:
    return message.role is Role.ASSISTANT and bool(message.content) and not message.calls


def _why(stop: Stop, run: Run, policy: Policy) -> str:
    """One sentence on a stop that is not an answer."""
    budgets = policy.budgets
    match stop:
        case Stop.DONE:
            return ""
        case Stop.STEPS:
            return f"The limit of {budgets.steps} steps was reached."
        case Stop.TOOL_CALLS:
            return f"The limit of {budgets.tool_calls} tool calls was reached."
        case Stop.TOKENS:
            return f"The limit of {budgets.tokens} tokens was reached."
        case Stop.COST:
            return f"The limit of {budgets.cost_usd} USD was reached."
        case Stop.TIME:
            return f"The limit of {budgets.wall_seconds:g} seconds was reached."
        case Stop.MALFORMED:
            return f"{run.meter.strikes} replies in a row could not be used."
        case Stop.APPROVAL:
            return run.recorder.open_question
        case Stop.CANCELLED | Stop.FAILED:
            return stop.value


def load_policy(name_or_path: str | Path) -> Policy:
    """A preset, one of the user's own policies by name, or a policy file."""
    return Policy.load(name_or_path, folder=paths(os.environ).policies)


def _as_tools(tools: Sequence[Tool | Callable[..., object] | str] | None) -> list[Tool]:
    if tools is None:
        return list(builtin_tools())
    found: list[Tool] = []
    for item in tools:
        if isinstance(item, Tool):
            found.append(item)
        elif isinstance(item, str):
            found.extend(select([item]))
        else:
            found.append(tool(item))
    return found


def _as_store(store: RunStore | bool | None) -> RunStore | None:
    if isinstance(store, RunStore):
        return store
    return None if store is False else RunStore(paths(os.environ).runs)
