"""The loop: stop? ask, decide, run, record.

It catches nothing. What a model or a tool got wrong is an event; what the runtime got wrong is
raised to `Agent`, the one boundary that records it.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from wardian.errors import ModelError, ModelRefused
from wardian.events import (
    CallDecided,
    CallFinished,
    CallStarted,
    ModelAsked,
    ModelReplied,
    Noted,
    Recorded,
)
from wardian.limits import Meter
from wardian.prompt import Conversation
from wardian.types import Delta, Finish, Message, Model, Reply, Request, Sampling, Stop, ToolSpec
from wardian_policies import Policy
from wardian_policies.types import Allow, Ask, Deny
from wardian_sandbox.types import FileChange, Sandbox
from wardian_tools import MAX_CALLS_PER_REPLY, Registry, run_call
from wardian_tools.types import ResultStatus, Tool, ToolCall, ToolContext, ToolResult

Approve = Callable[[Ask, ToolCall], Awaitable[bool]]
"""Asks a person: may this call run?"""


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

    async def opened_for(self, tools: Iterable[Tool], step: int) -> Sandbox: ...

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
    box: Opening
    recorder: Recorder
    conversation: Conversation
    meter: Meter
    sampling: Sampling
    approve: Approve | None = None
    check_answer: Callable[[str], str | None] | None = None
    """Says what is wrong with a final answer, or None."""
    output_schema: dict[str, Any] | None = None


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
    """Reserves what one more reply may take; the limit that leaves no room for it."""
    return await run.meter.admit(run.conversation.messages, run.specs, run.sampling)


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
    )
    reply: Reply | None = None
    async with aclosing(run.model.stream(request)) as stream:
        async for item in stream:
            if isinstance(item, Reply):
                reply = item
            else:
                run.recorder.show(item)
    if reply is None:
        raise ModelError(f"{run.model.name} ended its stream without a reply.")
    reply = replace(reply, message=understood(reply.message, run.registry, step))
    seconds = time.monotonic() - began
    await run.recorder.record(ModelReplied(step=step, reply=reply, seconds=seconds), durable=False)
    return reply


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A call that may run, with its tool and bounds; or one that already has its result."""

    call: ToolCall
    tool: Tool | None = None
    allow: Allow | None = None
    result: ToolResult | None = None


async def decide(run: Run, calls: Sequence[ToolCall]) -> list[Verdict] | None:
    """A verdict on each call, in order; None when a person is needed and nobody can be asked."""
    verdicts: list[Verdict] = []
    for index, call in enumerate(calls):
        if index >= MAX_CALLS_PER_REPLY:
            why = f"Not run: a reply may hold at most {MAX_CALLS_PER_REPLY} tool calls."
            verdicts.append(settled(call, ResultStatus.DISCARDED, why))
        elif call.arguments is None:
            why = call.problem or "The call could not be read."
            verdicts.append(settled(call, ResultStatus.MALFORMED, why))
        elif not run.meter.reserve_call():
            why = "Not run: the budget of tool calls is used up."
            verdicts.append(settled(call, ResultStatus.DISCARDED, why))
        elif (verdict := await judge(run, call)) is None:
            return None
        else:
            verdicts.append(verdict)
            if verdict.allow is None:
                run.meter.release_call()
    return verdicts


async def judge(run: Run, call: ToolCall) -> Verdict | None:
    """The policy's decision on one valid call, a person's where the policy asks."""
    tool = run.registry.get(call.name)
    assert tool is not None  # a call with arguments was parsed by its tool
    decision = run.policy.decide(call, tool)
    answer = None
    if isinstance(decision, Ask) and run.approve:
        answer = "yes" if await run.approve(decision, call) else "no"
    step = run.meter.steps
    decided = CallDecided(step=step, call=call, decision=decision, answer=answer)
    await run.recorder.record(decided, durable=False)
    match decision:
        case Allow():
            return Verdict(call=call, tool=tool, allow=decision)
        case Deny(reason=reason):
            return settled(call, ResultStatus.DENIED, reason)
        case Ask(granted=granted):
            if answer is None:
                return None
            if answer == "yes":
                return Verdict(call=call, tool=tool, allow=granted)
            return settled(call, ResultStatus.DENIED, "The user did not allow this call.")


def settled(call: ToolCall, status: ResultStatus, why: str) -> Verdict:
    """A call that does not run, with the result the model gets for it."""
    result = ToolResult(call_id=call.id, name=call.name, status=status, content=why)
    return Verdict(call=call, result=result)


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
    sandbox = await run.box.opened_for(tools, step)
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
    )
    return await run_call(verdict.tool, verdict.call, context)


def key_of(run: Run, call: ToolCall) -> str:
    """The same whenever this call is run again after an interruption, and of no other call."""
    return hashlib.sha256(f"{run.id}/{run.meter.steps}/{call.id}".encode()).hexdigest()[:32]
