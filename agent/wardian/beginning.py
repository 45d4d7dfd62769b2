"""Where a run begins: with a task, where a stored one stopped, or at a step of one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wardian.budget import Ledger
from wardian.errors import ApprovalNeeded
from wardian.events import (
    CallFinished,
    CallSettled,
    Event,
    Noted,
    Recorded,
    RunResumed,
    Settlement,
)
from wardian.loop import Run, follow, pursue
from wardian.runs.resume import Continuation, Uncertain
from wardian.types import Message, Stop, Task
from wardian_tools.types import Integrity, ResultStatus, ToolResult

UNKNOWN = "The run was interrupted while this call ran. Whether it took effect is not known."


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What becomes of a call of which nobody knows whether it took effect."""

    settlement: Settlement
    by_user: bool = True
    result: str = ""
    """What the call gave, where the user supplies it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """A stored run that goes on."""

    continuation: Continuation
    settled: dict[str, Settled]
    """By call id; every uncertain call is in it"""
    changed: tuple[str, ...] = ()
    """Sentences for the user on what is not as the run left it"""
    files_differ: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A step of a stored run that another run restarts from."""

    fork: dict[str, Any]
    """As in `RunStarted`"""
    prefix: tuple[Message, ...]
    """After the task"""
    steps: int
    """Those before it"""
    flow: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the stored run had read before it began, as in `RunStarted`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Everything that tells one run of an agent from another."""

    task: Task
    ledger: Ledger
    listener: Callable[[Event], None] = field(default=lambda _: None)
    run_id: str = ""
    """Empty for a new one"""
    earlier: Sequence[Message] = ()
    resumption: Resumption | None = None
    branch: Branch | None = None
    place: Path | None = None
    """A private folder that stands for the workspace"""
    prepare: "Callable[[Beginning], Beginning] | None" = None
    """Done once the run's folder is ours, off the event loop; gives what then begins"""
    keep: bool = True
    """False stores nothing, whatever the agent's store is"""


def settle(
    uncertain: Sequence[Uncertain], decided: dict[str, Settled], run_id: str
) -> dict[str, Settled]:
    """What becomes of each uncertain call: what was decided; what may be repeated is run again.

    Raises: ApprovalNeeded for one that only a person can decide.
    """
    settled: dict[str, Settled] = {}
    for one in uncertain:
        call_id = one.call.id
        if call_id in decided:
            settled[call_id] = decided[call_id]
        elif one.started.repeatable:
            settled[call_id] = Settled(settlement=Settlement.AGAIN, by_user=False)
        else:
            raise undecided(one, run_id)
    return settled


def undecided(one: Uncertain, run_id: str, shown: str = "") -> ApprovalNeeded:
    """What to say of a call that waits for a person's word; `shown` is what it would do."""
    call_id = one.call.id
    return ApprovalNeeded(
        f"The call {call_id} of {one.call.name} was cut off, and may have taken effect or not"
        f"{f': {shown}' if shown else '.'}",
        f"Look, then say which: agent resume {run_id} --settle {call_id}=again, =failed, or"
        " =result:TEXT.",
    )


def told(resumption: Resumption) -> str:
    """What the model has to know; empty where nothing is lost to it."""
    sentences: list[str] = []
    if resumption.continuation.lost_state:
        sentences.append(
            "The Python interpreter was started anew: variables, imports and functions defined"
            " earlier are gone; files are still there."
        )
    if resumption.files_differ:  # without their names, which anybody may have chosen
        sentences.append("Files in the workspace are not all as they were left: look again.")
    return " ".join(["This run was interrupted and now goes on.", *sentences]) if sentences else ""


def resumed_event(resumption: Resumption, run: Run, sandbox: dict[str, Any]) -> RunResumed:
    """What the log says of it."""
    policy = run.policy.as_json()
    return RunResumed(
        step=run.meter.steps,
        model={"name": run.model.name, "is_local": run.model.is_local} | run.model.identity,
        policy={key: policy[key] for key in ("name", "sha256", "budgets")},
        sandbox=sandbox,
        changed=resumption.changed,
        told=told(resumption),
    )


async def go_on(run: Run, resumption: Resumption) -> Stop:
    """Finish the step that was cut off, tell the model what is lost, and pursue the task.

    Raises: as `pursue`.
    """
    last = resumption.continuation.last
    await run.recorder.record(*settling(run, resumption), durable=False)
    if last:
        waiting = run.conversation.pending
        calls = tuple(call for call in last.message.calls if call.id in waiting)
        if calls or not last.message.calls:
            message = replace(last.message, calls=calls)
            if stop := await follow(run, replace(last, message=message)):
                return stop
    if note := told(resumption):
        await run.recorder.record(Noted(step=run.meter.steps, text=note), durable=False)
    return await pursue(run)


def settling(run: Run, resumption: Resumption) -> list[Recorded]:
    """The events of what was decided on the uncertain calls."""
    events: list[Recorded] = []
    for one in resumption.continuation.uncertain:
        settled, step = resumption.settled[one.call.id], one.started.step
        events.append(
            CallSettled(
                step=step,
                call_id=one.call.id,
                settlement=settled.settlement,
                by_user=settled.by_user,
            )
        )
        if settled.settlement is not Settlement.AGAIN:
            events.append(CallFinished(step=step, result=_result(one, settled)))
    return events


def _result(one: Uncertain, settled: Settled) -> ToolResult:
    is_supplied = settled.settlement is Settlement.SUPPLIED
    return ToolResult(
        call_id=one.call.id,
        name=one.call.name,
        status=ResultStatus.OK if is_supplied else ResultStatus.ERROR,
        content=settled.result if is_supplied else UNKNOWN,
        # What the user vouches for is theirs; but they may have pasted what somebody else wrote.
        integrity=Integrity.UNTRUSTED,
        data={"settled": settled.settlement.value},
    )
