"""The runs of sub-agents: who called them, on whose budget, what their callers record of them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wardian.beginning import Beginning
from wardian.budget import Ledger
from wardian.events import ChildFinished, ChildStarted
from wardian.loop import Run
from wardian.results import RunResult
from wardian.runs import new_run_id
from wardian.subagents import ChildRun, SubAgent
from wardian.types import Stop, Task
from wardian_policies import Policy
from wardian_tools import ToolContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The run and the call that a sub-agent does."""

    run: Run
    call: ToolContext
    name: str
    depth: int
    """1 for a sub-agent of a run that is none"""
    is_read_elsewhere: bool
    """A model that is not on this machine reads what the run does."""

    def as_json(self) -> dict[str, Any]:
        """For the child's trajectory."""
        call = {"run_id": self.run.id, "step": self.run.meter.steps, "call_id": self.call.call_id}
        return {**call, "name": self.name, "depth": self.depth}


class Performer(Protocol):
    """An agent, ready to be a sub-agent."""

    policy: Policy

    async def perform(self, beginning: Beginning) -> RunResult[Any]: ...


class Children:
    """The sub-agents' runs of one run: so many at a time, and one question at a time."""

    def __init__(self, run: Run, depth: int, at_a_time: int, is_read_elsewhere: bool) -> None:
        """`depth` is that of the children; for the rest see `Caller`."""
        self.run = run
        self.depth = depth
        self.is_read_elsewhere = is_read_elsewhere
        self.asking = asyncio.Lock()
        self._turns = asyncio.Semaphore(at_a_time)

    async def perform(
        self,
        definition: SubAgent,
        make: Callable[[SubAgent, Caller, asyncio.Lock], Performer],
        task: str,
        call: ToolContext,
    ) -> ChildRun:
        """Do a task by the agent that `make` gives, when it is its turn. Raises: as `Agent.run`."""
        async with self._turns:
            caller = Caller(
                run=self.run,
                call=call,
                name=definition.name,
                depth=self.depth,
                is_read_elsewhere=self.is_read_elsewhere,
            )
            return await run_child(make(definition, caller, self.asking), caller, task)


async def run_child(child: Performer, caller: Caller, task: str) -> ChildRun:
    """The run, its beginning and end in its caller's trajectory too. Raises: as `Agent.run`."""
    run, call_id, run_id = caller.run, caller.call.call_id, new_run_id()
    ledger = Ledger(child.policy.budgets, parent=run.meter.ledger)
    step, stop = run.meter.steps, Stop.FAILED
    started = ChildStarted(step=step, call_id=call_id, run_id=run_id, name=caller.name)
    await run.recorder.record(started, durable=False)
    try:
        result = await child.perform(
            Beginning(task=Task(prompt=task), ledger=ledger, run_id=run_id)
        )
        stop = result.stop
    except asyncio.CancelledError:
        stop = Stop.CANCELLED
        raise
    finally:
        ledger.close()
        ended = ChildFinished(
            step=step, call_id=call_id, run_id=run_id, stop=stop, consumed=ledger.spent.as_json()
        )
        await run.recorder.record(ended, durable=False)
    return ChildRun(
        run_id=run_id, answer=result.answer, stop=stop, error=result.error, flow=result.flow
    )
