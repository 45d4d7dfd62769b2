"""A stored run done again from its recording: does the same come of it?

The recorded replies are given again. Calls give their recorded results, or run anew in a sandbox
around the workspace as it was before the first of them. Everything between them is this version's
own work: what is told the model, how calls are read, what the policy decides.
`comparing` says what is compared.
"""

import copy
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

from wardian.agent import Agent
from wardian.approval import Answer, Approve, Grants, Pending, Said
from wardian.beginning import Beginning, Branch
from wardian.budget import Ledger
from wardian.errors import ConfigurationError
from wardian.events import (
    CallDecided,
    CallFinished,
    ModelReplied,
    Noted,
    Recorded,
    RunFinished,
    RunResumed,
    RunStarted,
    WorkspaceSaved,
)
from wardian.judging import REASON, REFUSED, without_edit
from wardian.models.replayed import RecordingEnded, ReplayedModel
from wardian.reruns.comparing import UNBOUNDED_STOPS, Comparison, Difference, essential
from wardian.runs.states import States
from wardian.runs.trajectory import Trajectory
from wardian_policies.types import Ask, Budgets
from wardian_sandbox.errors import SandboxError
from wardian_tools import Output, Registry, Tool, ToolCall, ToolContext
from wardian_tools.types import ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of it."""

    run_id: str
    compared: int
    """Events that were the same"""
    difference: Difference | None
    live_tools: bool


async def replay(agent: Agent[Any], run: str, *, live_tools: bool = False) -> Replay:
    """Do the run again as `agent` would. Nothing is stored, and the user's folder is left alone.

    Raises: RunNotFound, StorageError, SandboxError; ConfigurationError where its start is damaged.
    """
    assert agent.store
    trajectory = agent.store.load(run)
    started = trajectory.started
    if started is None:
        raise ConfigurationError(
            f"Run {trajectory.run_id} cannot be replayed: its first event cannot be read.",
            "`agent runs show` prints what can.",
        )
    comparison = Comparison(list(_to_compare(trajectory)))
    with tempfile.TemporaryDirectory(prefix="wardian-replay-") as folder:
        place = _workspace_then(trajectory, Path(folder) / "workspace") if live_tools else None
        again = _as_recorded(agent, trajectory, started, live_tools)
        beginning = Beginning(
            task=started.task,
            ledger=Ledger(_budgets(trajectory)),
            earlier=(*started.earlier,),
            listener=comparison.on,
            branch=_branch(started),
            place=place,
            keep=False,
        )
        with suppress(RecordingEnded):
            await again.perform(beginning)
    if _ended_by_itself(trajectory):
        comparison.end()
    return Replay(
        run_id=trajectory.run_id,
        compared=comparison.compared,
        difference=comparison.difference,
        live_tools=live_tools,
    )


def _to_compare(trajectory: Trajectory) -> Iterator[tuple[int, Recorded]]:
    """Events with something essential, without what only a resumption brought."""
    told: set[str] = set()
    ends = [r.seq for r in trajectory.records if isinstance(r.event, RunFinished)]
    for record in trajectory.records:
        event = record.event
        if isinstance(event, RunResumed):
            told.add(event.told)
        if event is None or essential(event) is None:
            continue
        if isinstance(event, Noted) and event.text in told:
            continue
        if isinstance(event, RunFinished) and record.seq != ends[-1]:
            continue
        yield record.seq, event


def _ended_by_itself(trajectory: Trajectory) -> bool:
    finished = trajectory.finished
    return finished is not None and finished.stop not in UNBOUNDED_STOPS


def _as_recorded(
    agent: Agent[Any], trajectory: Trajectory, started: RunStarted, live_tools: bool
) -> Agent[Any]:
    events = trajectory.events
    again = copy.copy(agent)
    replies = [_as_emitted(e) for e in events if isinstance(e, ModelReplied)]
    again.model = ReplayedModel(
        [e.reply for e in replies], name=str(started.model.get("name")), identity=started.model
    )
    # Those in force at the end are the ledger's; a limit that was raised is no difference.
    again.policy = agent.policy.with_budgets(Budgets(**started.policy.get("budgets", {})))
    again.approve = _answers(events)
    again.grants = _NothingGranted()
    again.subagents = ()
    again.workspace_mode = "copy"
    if not live_tools:
        again.registry = Registry(
            _recorded_tools(agent.registry, started, (e.result for e in _results(events)))
        )
    return again


def _as_emitted(event: ModelReplied) -> ModelReplied:
    """With its calls unparsed, as they came from the model; ids stay, since they were made once."""
    calls = tuple(
        ToolCall(id=call.id, name=call.name, arguments_text=call.arguments_text)
        for call in event.reply.message.calls
    )
    message = replace(event.reply.message, calls=calls)
    return replace(event, reply=replace(event.reply, message=message))


def _branch(started: RunStarted) -> Branch | None:
    """What a fork goes on from."""
    if not started.fork:
        return None
    return Branch(fork=started.fork, prefix=started.prefix, steps=started.fork["step"] - 1)


def _budgets(trajectory: Trajectory) -> Budgets:
    """Those in force at the end; time passes otherwise now."""
    policy = trajectory.started.policy if trajectory.started else {}
    for event in trajectory.events:
        if isinstance(event, RunResumed):
            policy = event.policy
    return replace(Budgets(**policy.get("budgets", {})), wall_seconds=None)


def _results(events: Iterable[Recorded]) -> Iterator[CallFinished]:
    return (e for e in events if isinstance(e, CallFinished))


class _NothingGranted(Grants):
    """Each recorded answer is given where it was given, also one for the rest of the session."""

    def answer(self, pending: Pending) -> None:
        del pending


def _answers(events: Sequence[Recorded]) -> Approve | None:
    """What the person answered, in that order; None when nobody could be asked."""
    answers = deque(_answer(event, events[at:]) for at, event in enumerate(events) if _asks(event))
    if not any(answers):
        return None

    async def approve(ask: Ask, call: ToolCall) -> Answer:
        del ask, call
        return (answers.popleft() if answers else None) or Answer.no()

    return approve


def _asks(event: Recorded) -> TypeGuard[CallDecided]:
    return isinstance(event, CallDecided) and isinstance(event.decision, Ask)


def _answer(decided: CallDecided, later: Iterable[Recorded]) -> Answer | None:
    if decided.answer not in tuple(Said):
        return None
    said, reason = Said(decided.answer), ""
    if said is Said.NO:  # its reason stands only in what the model was told
        results = (e.result for e in _results(later) if e.result.call_id == decided.call.id)
        told = next((result.content for result in results), "")
        reason = told.partition(f"{REFUSED}{REASON}")[2]
    return Answer(said=said, arguments=decided.edit, reason=reason, saved=decided.saved)


def _recorded_tools(
    registry: Registry, started: RunStarted, results: Iterable[ToolResult]
) -> Iterator[Tool]:
    """The tools as they are now, or were if they are no more; their calls give what they gave."""
    waiting: dict[str, deque[ToolResult]] = {}
    for result in results:
        waiting.setdefault(result.call_id, deque()).append(result)

    async def give(context: ToolContext, **_: Any) -> Output:
        found = waiting.get(context.call_id)
        if not found:
            return Output(content="(the recording has no result of this call)")
        result = found.popleft()
        return Output(
            content=without_edit(result.content),
            status=result.status,
            integrity=result.integrity,
            confidentiality=result.confidentiality,
            data=result.data,
        )

    for spec in started.tools:
        name = str(spec["name"])
        known = registry.get(name) or _as_it_was(spec)
        yield replace(known, function=give, uses_sandbox=False)
    for tool in registry:
        if tool.name not in {spec["name"] for spec in started.tools}:
            yield replace(tool, function=give, uses_sandbox=False)


def _as_it_was(spec: dict[str, Any]) -> Tool:
    """A tool that this machine has no more, by what its run recorded of it."""
    return Tool(
        name=str(spec["name"]),
        description=str(spec.get("description", "")),
        parameters=dict(spec.get("parameters", {})),
        effects=frozenset(spec.get("effects", ())),
        idempotent=False,
        validate=dict[str, Any],
        function=_gone,
    )


async def _gone(context: ToolContext, **_: Any) -> Output:
    raise SandboxError(f"The tool of call {context.call_id} is not here any more.")


def _workspace_then(trajectory: Trajectory, place: Path) -> Path | None:
    """The workspace before the first call that could change it; None where there was none."""
    if not any(isinstance(event, WorkspaceSaved) for event in trajectory.events):
        return None
    states = States(trajectory.path.parent)
    place.mkdir(mode=0o700)
    states.lay(states.state(0), place)
    return place
