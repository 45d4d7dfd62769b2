"""The loop: stop? ask, decide, run, record.

It catches nothing. What a model or a tool got wrong is an event; what the runtime got wrong is
raised to `Agent`, the one boundary that records it.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from wardian.approval import Approve, Grants
from wardian.compaction import Window
from wardian.errors import ModelError, ModelRefused, PrivateContent
from wardian.events import (
    CallFinished,
    CallStarted,
    ModelAsked,
    ModelReplied,
    Noted,
    Recorded,
)
from wardian.flow import FlowLabels
from wardian.judging import Verdict, decide, for_elsewhere, private_reads, with_edit
from wardian.limits import Meter
from wardian.privacy import Screen
from wardian.prompt import Conversation
from wardian.types import Delta, Finish, Message, Model, Reply, Request, Sampling, Stop, ToolSpec
from wardian_policies import Policy
from wardian_policies import types as policies
from wardian_policies.flow import labelled
from wardian_sandbox.types import FileChange, Sandbox
from wardian_tools import Registry, run_call
from wardian_tools.types import AskUser, Tool, ToolCall, ToolContext, ToolResult


class Recorder(Protocol):
    """Keeps events and shows them. `durable` returns only once they would survive a power cut."""

    async def record(self, *events: Recorded, durable: bool = True) -> None: ...

    def show(self, delta: Delta) -> None: ...

    @property
    def unfinished_text(self) -> str:
        """What there is of a reply that has not ended."""
        ...

    @property
    def open_question(self) -> str:
        """What a person was needed for when nobody could be asked."""
        ...


class Opening(Protocol):
    """Gives calls a sandbox to run in, opened when the first of them needs it."""

    async def opened_for(
        self, tools: Iterable[Tool], step: int, shown: Sequence[str] = ()
    ) -> Sandbox: ...

    async def left(self, step: int) -> Sequence[Recorded]:
        """What is to be recorded of the workspace once the step's calls are over."""
        ...

    async def diff(self) -> tuple[FileChange, ...]: ...


@dataclass(slots=True, kw_only=True)
class Run:
    """What one run works with."""

    id: str
    model: Model
    registry: Registry
    specs: tuple[ToolSpec, ...]
    policy: Policy
    workspace: Path
    box: Opening
    recorder: Recorder
    conversation: Conversation
    meter: Meter
    labels: FlowLabels
    screen: Screen
    sampling: Sampling
    private_model: Model | None = None
    """A model on this machine, for what the policy keeps there."""
    approve: Approve | None = None
    grants: Grants = field(default_factory=Grants)
    ask_user: AskUser | None = None
    """Answers the questions of tools; None where nobody can be asked."""
    check_answer: Callable[[str], str | None] | None = None
    """Says what is wrong with a final answer, or None."""
    output_schema: dict[str, Any] | None = None
    window: Window | None = None
    """None where the model does not say how much it can read."""
    by: str = ""
    """The sub-agent whose run it is; empty where it is none's."""

    @property
    def stays_here(self) -> bool:
        """May the run read what the policy keeps on this machine?"""
        is_free = self.policy.flow.private_to_api is policies.Verdict.ALLOW
        return is_free or self.model.is_local or self.private_model is not None


async def pursue(run: Run) -> Stop:
    """Ask, decide, run, record, until the model has answered or a limit is reached."""
    while (stop := await room(run)) is None:
        if stop := await follow(run, await ask(run)):
            return stop
    return stop


async def follow(run: Run, reply: Reply) -> Stop | None:
    """Do what the reply asks for; why the run ends, if it does."""
    if problem := what_is_wrong(reply, run.check_answer):
        await run.recorder.record(Noted(step=run.meter.steps, text=problem))
    elif not reply.message.calls:
        return Stop.DONE
    elif (verdicts := await decide(run, reply.message.calls)) is None:
        return Stop.APPROVAL
    else:
        await act(run, verdicts)
    return None


async def room(run: Run) -> Stop | None:
    """Makes room for one more reply, in the model's window and in the budgets; the limit that
    leaves none.
    """
    talk, sampling = run.conversation.talk, run.sampling
    if run.window is not None:
        shortened = run.window.compaction(talk, run.specs, run.meter.steps)
        if shortened is not None:
            await run.recorder.record(shortened)
        sampling = replace(sampling, max_tokens=run.window.reply_limit(sampling.max_tokens))
    return await run.meter.admit(run.conversation.messages, run.specs, sampling)


async def ask(run: Run) -> Reply:
    """The model's next reply, its calls parsed and validated, recorded."""
    step = run.meter.steps + 1
    sampling = replace(run.sampling, max_tokens=run.meter.reply_tokens)
    asked = ModelAsked(step=step, sampling=asdict(sampling), reserved=run.meter.reserved)
    await run.recorder.record(asked, durable=False)
    began = time.monotonic()
    request = Request(
        messages=tuple(run.conversation.messages),
        tools=run.specs,
        sampling=sampling,
        output_schema=run.output_schema,
        conversation=run.id,
        must_call=run.meter.must_call,
    )
    reply: Reply | None = None
    async with aclosing(model_for(run).stream(request)) as stream:
        async for item in stream:
            if isinstance(item, Reply):
                reply = item
            else:
                run.recorder.show(item)
    if reply is None:
        raise ModelError(f"{run.model.name} ended its stream without a reply.")
    reply = run.screen.reply(reply)
    if run.window is not None:
        run.window.learn(request, reply)
    reply = replace(reply, message=understood(reply.message, run.registry, step))
    seconds = time.monotonic() - began
    await run.recorder.record(ModelReplied(step=step, reply=reply, seconds=seconds), durable=False)
    return reply


def model_for(run: Run) -> Model:
    """The model that may read what the run holds. Raises: PrivateContent."""
    source = run.labels.state.local
    if source is None or run.stays_here:
        return run.private_model if source and run.private_model else run.model
    raise PrivateContent(
        f"The run holds what its policy keeps on this machine, from {source},"
        f" and {run.model.name} is elsewhere.",
        "Name a local model for it with --private-model, or for the whole run with -m.",
    )


def understood(message: Message, registry: Registry, step: int) -> Message:
    """The message with its calls parsed, each under an id of its own."""
    if not message.calls:
        return message
    ids: set[str] = set()
    calls: list[ToolCall] = []
    for index, call in enumerate(message.calls):
        unique = call.id if call.id and call.id not in ids else f"call_{step}_{index}"
        ids.add(unique)
        calls.append(registry.parse(replace(call, id=unique)))
    return replace(message, calls=tuple(calls))


def what_is_wrong(reply: Reply, check: Callable[[str], str | None] | None) -> str | None:
    """Why this reply can be neither run nor taken as the answer, as told to the model."""
    calls = len(reply.message.calls)
    lost = f" Its {calls} tool call{'s were' if calls > 1 else ' was'} not run." if calls else ""
    match reply.finish:
        case Finish.LENGTH:
            return f"Your reply was cut off by the length limit.{lost} Write a shorter one."
        case Finish.CUT:
            return f"Your reply broke off before its end.{lost} Write it again."
        case Finish.FILTER:
            raise ModelRefused("The provider withheld the reply.", "Rephrase the task.")
        case _ if calls:
            return None
        case _ if not reply.message.content.strip():
            return "Your reply was empty. Call a tool, or answer in plain text."
        case _:
            return check(reply.message.content) if check else None


async def act(run: Run, verdicts: Sequence[Verdict]) -> None:
    """Run what may run: side by side when all of it only reads or says it may, else in order."""
    tools = [verdict.tool for verdict in verdicts if verdict.tool]
    if all(tool.read_only or tool.parallel for tool in tools):
        await run_together(run, verdicts)
    else:
        for verdict in verdicts:
            await run_together(run, [verdict])


async def run_together(run: Run, verdicts: Sequence[Verdict]) -> None:
    """Record the intents, run the calls at once, record the results in the calls' order."""
    step, tools = run.meter.steps, [verdict.tool for verdict in verdicts if verdict.tool]
    shown = private_reads(verdicts, run.policy.flow)
    sandbox = await run.box.opened_for(tools, step, shown)
    await run.recorder.record(
        *(
            CallStarted(
                step=step,
                call_id=verdict.call.id,
                name=verdict.call.name,
                repeatable=verdict.tool.read_only or verdict.tool.idempotent,
            )
            for verdict in verdicts
            if verdict.tool
        )
    )
    if len(verdicts) == 1:
        results = [await outcome(run, sandbox, verdicts[0])]
    else:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(outcome(run, sandbox, verdict)) for verdict in verdicts]
        results = [task.result() for task in tasks]
    left = await run.box.left(step)
    finished = (CallFinished(step=step, result=result) for result in results)
    await run.recorder.record(*left, *finished)


async def outcome(run: Run, sandbox: Sandbox, verdict: Verdict) -> ToolResult:
    """The result the call has, or gets by running. Only an `Allow` runs anything."""
    if verdict.result:
        return verdict.result
    assert verdict.tool is not None
    assert verdict.allow is not None
    context = ToolContext(
        sandbox=sandbox,
        within=verdict.allow.within,
        call_id=verdict.call.id,
        idempotency_key=key_of(run, verdict.call),
        ask=run.ask_user,
    )
    result = with_edit(await run_call(verdict.tool, verdict.call, context), verdict)
    result = labelled(result, verdict.call, verdict.tool, run.policy.flow, context.within)
    return result if run.stays_here else for_elsewhere(result, verdict, run.policy.flow)


def key_of(run: Run, call: ToolCall) -> str:
    """The same whenever this call is run again after an interruption, and of no other call."""
    return hashlib.sha256(f"{run.id}/{run.meter.steps}/{call.id}".encode()).hexdigest()[:32]
