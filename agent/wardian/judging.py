"""Decides the calls of one reply: the policy first, then a person where it asks.

Calls that wait for a person are put to them together. An edited call is validated and decided again
like any other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from wardian.approval import MAX_EDITS, Answer, Approve, Grants, Pending, Said, answers
from wardian.events import CallDecided, Recorded
from wardian.flow import FlowLabels, withheld
from wardian.limits import Meter
from wardian.privacy import Screen, UnfitArguments
from wardian_policies import Policy
from wardian_policies.flow import is_kept_local, paths_of
from wardian_policies.labels import Situation
from wardian_policies.paths import respelled
from wardian_policies.tables import FlowRules
from wardian_policies.types import Allow, Ask, Decision, Deny
from wardian_tools import MAX_CALLS_PER_REPLY, Registry
from wardian_tools.types import Confidentiality, ResultStatus, Tool, ToolCall, ToolResult

CHANGED = "The user changed this call before it ran; its arguments were: "
REFUSED = "The user did not allow this call."
REASON = " They say: "


class Records(Protocol):
    async def record(self, *events: Recorded, durable: bool = True) -> None: ...


class Court(Protocol):
    """What of a run deciding needs."""

    @property
    def policy(self) -> Policy: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def recorder(self) -> Records: ...
    @property
    def meter(self) -> Meter: ...
    @property
    def labels(self) -> FlowLabels: ...
    @property
    def screen(self) -> Screen: ...
    @property
    def approve(self) -> Approve | None: ...
    @property
    def grants(self) -> Grants: ...
    @property
    def by(self) -> str: ...
    @property
    def workspace(self) -> Path: ...
    @property
    def stays_here(self) -> bool:
        """Will a model on this machine read the results?"""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A call that may run, with its tool and bounds; or one that already has its result."""

    call: ToolCall
    tool: Tool | None = None
    allow: Allow | None = None
    was_asked: bool = False
    """A person said yes."""
    is_edited: bool = False
    """A person changed its arguments."""
    result: ToolResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A call as its tool would get it, and what the policy says of it."""

    call: ToolCall
    tool: Tool
    decision: Decision
    edits: int = 0


async def decide(run: Court, calls: Sequence[ToolCall]) -> list[Verdict] | None:
    """A verdict on each call, in order; None when a person is needed and nobody can be asked."""
    verdicts: dict[str, Verdict] = {}
    judged: list[Judged] = []
    reserved: list[ToolCall] = []
    for index, call in enumerate(calls):
        if index >= MAX_CALLS_PER_REPLY:
            why = f"Not run: a reply may hold at most {MAX_CALLS_PER_REPLY} tool calls."
            verdicts[call.id] = settled(call, ResultStatus.DISCARDED, why)
        elif call.arguments is None:
            why = call.problem or "The call could not be read."
            verdicts[call.id] = settled(call, ResultStatus.MALFORMED, why)
        elif not run.meter.reserve_call():
            why = "Not run: the budget of tool calls is used up."
            verdicts[call.id] = settled(call, ResultStatus.DISCARDED, why)
        else:
            found = judge(run, call)
            keep(found, verdicts, judged)
            if isinstance(found, Verdict) or isinstance(found.decision, Deny):
                run.meter.release_call()  # it will not run, so the next one may
            else:
                reserved.append(call)
    while judged:
        waiting, judged = judged, []
        said = await answers_to(run, waiting)
        for one in waiting:
            answer = said.get(one.call.id)
            await record(run, one, answer)
            outcome = concluded(run, one, answer)
            if outcome is None:
                return None
            keep(outcome, verdicts, judged)
    for call in reserved:
        if verdicts[call.id].allow is None:
            run.meter.release_call()
    return [verdicts[call.id] for call in calls]


def keep(found: Judged | Verdict, verdicts: dict[str, Verdict], judged: list[Judged]) -> None:
    if isinstance(found, Verdict):
        verdicts[found.call.id] = found
    else:
        judged.append(found)


def judge(run: Court, call: ToolCall, edits: int = 0) -> Judged | Verdict:
    """What the policy says of one valid call."""
    tool = run.registry.get(call.name)
    assert tool is not None  # a call with arguments was parsed by its tool
    try:
        call, restores = run.screen.for_tool(call, tool)
    except UnfitArguments as problem:
        return settled(call, ResultStatus.DENIED, str(problem))
    situation = Situation(flow=run.labels.state, is_local=run.stays_here, restores=restores)
    decision = run.policy.decide(call, tool, situation)
    if isinstance(decision, Deny):
        decision = respelled(decision, call, tool, run.workspace)
    return Judged(call=call, tool=tool, decision=decision, edits=edits)


async def answers_to(run: Court, judged: Sequence[Judged]) -> Mapping[str, Answer]:
    """What is said of the calls that the policy asks about; nothing if nobody can be asked."""
    asked = [pending(run, one, one.decision) for one in judged if isinstance(one.decision, Ask)]
    if not asked or run.approve is None:
        return {}
    given = await answers(run.approve, run.grants, asked)
    return {one.call.id: answer for one, answer in zip(asked, given, strict=True)}


def pending(run: Court, one: Judged, ask: Ask) -> Pending:
    # A flow rule asks because of what the run has read; at first no flow rule says anything.
    is_rule = run.policy.decide(one.call, one.tool) == ask

    def check(arguments: Mapping[str, Any]) -> str | None:
        return edited(run, one.call, arguments).problem

    return Pending(
        ask=ask,
        call=one.call,
        tool=one.tool,
        pattern=run.policy.allowing_pattern(one.call, one.tool) if is_rule else None,
        is_rule=is_rule,
        check=check,
        by=run.by,
    )


def edited(run: Court, call: ToolCall, arguments: Mapping[str, Any]) -> ToolCall:
    """The call with other arguments, validated as if the model had written them."""
    text = json.dumps(dict(arguments), ensure_ascii=False, default=str)
    fresh = replace(call, arguments=None, problem=None, arguments_text=text)
    return run.registry.parse(fresh)


async def record(run: Court, one: Judged, answer: Answer | None) -> None:
    await run.recorder.record(
        CallDecided(
            step=run.meter.steps,
            call=one.call,
            decision=one.decision,
            answer=answer.said if answer else None,
            edit=dict(answer.arguments) if answer and answer.arguments is not None else None,
            saved=answer.saved if answer else "",
        ),
        durable=False,
    )


def concluded(run: Court, one: Judged, answer: Answer | None) -> Judged | Verdict | None:
    """What becomes of a call; None when a person is needed and nobody can be asked."""
    call, is_edited = one.call, one.edits > 0
    match one.decision:
        case Allow() as allow:
            return Verdict(call=call, tool=one.tool, allow=allow, is_edited=is_edited)
        case Deny(reason=reason):
            return settled(call, ResultStatus.DENIED, reason)
        case Ask() as ask:
            return answered(run, one, ask, answer)


def answered(run: Court, one: Judged, ask: Ask, answer: Answer | None) -> Judged | Verdict | None:
    call, is_edited = one.call, one.edits > 0
    match answer:
        case None:
            why = ask.unattended
            return settled(call, ResultStatus.DENIED, why) if why else None
        case Answer(said=Said.NO, reason=reason):
            why = f"{REFUSED}{REASON}{reason}" if reason else REFUSED
            return settled(call, ResultStatus.DENIED, why)
        case Answer(said=Said.EDIT):
            return again(run, one, answer.arguments or {})
        case _:
            return Verdict(
                call=call, tool=one.tool, allow=ask.granted, was_asked=True, is_edited=is_edited
            )


def again(run: Court, one: Judged, arguments: Mapping[str, Any]) -> Judged | Verdict:
    """The edited call, judged."""
    call = edited(run, one.call, arguments)
    if call.arguments is None:
        why = f"The user changed this call to one that cannot run: {call.problem}"
        return settled(call, ResultStatus.MALFORMED, why)
    if one.edits >= MAX_EDITS:
        return settled(call, ResultStatus.DENIED, REFUSED)
    return judge(run, call, one.edits + 1)


def settled(call: ToolCall, status: ResultStatus, why: str) -> Verdict:
    """A call that does not run, with the result the model gets for it."""
    result = ToolResult(call_id=call.id, name=call.name, status=status, content=why)
    return Verdict(call=call, result=result)


def without_edit(content: str) -> str:
    """What the tool itself gave, of such a result."""
    return content.partition("\n")[2] if content.startswith(CHANGED) else content


def with_edit(result: ToolResult, verdict: Verdict) -> ToolResult:
    """The result, with what the model has to know of a call that was changed."""
    if not verdict.is_edited:
        return result
    changed = f"{CHANGED}{verdict.call.arguments_text}\n"
    return replace(result, content=changed + result.content)


def private_reads(verdicts: Sequence[Verdict], rules: FlowRules) -> list[str]:
    """The private paths that calls which may run are to read."""
    return [
        path
        for one in verdicts
        if one.tool and one.allow and is_kept_local(one.call, one.tool, rules)
        for path in paths_of(one.call, one.tool)
    ]


def for_elsewhere(result: ToolResult, verdict: Verdict, rules: FlowRules) -> ToolResult:
    """The result, as a model elsewhere may have it: nothing that the policy keeps on this machine,
    unless a person was asked about just that.
    """
    assert verdict.tool is not None
    if verdict.was_asked and is_kept_local(verdict.call, verdict.tool, rules):
        return replace(result, confidentiality=Confidentiality.PRIVATE)
    return withheld(result)
