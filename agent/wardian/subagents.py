"""Sub-agents: a tool whose work is a run of its own.

A sub-agent has its own prompt, tools, model and budgets. It has at most the rights of the run that
calls it: its policy is that run's, narrowed by its own; a tool it names is one of that run's; what
it consumes is taken from that run's budgets too. It sees the task it is given and nothing else of
the conversation. What goes wrong in it is a result for its caller, never an error.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from wardian.errors import WardianError
from wardian.types import Model, Stop
from wardian_policies import Policy
from wardian_policies.labels import FlowState
from wardian_policies.types import Budgets
from wardian_sandbox.errors import SandboxError
from wardian_tools import Effect, Output, ResultStatus, Tool, ToolContext, select, tool

MAX_FAILURE_CHARS = 2_000
UNLIMITED = Budgets(steps=None, tool_calls=None, tokens=None, cost_usd=None, wall_seconds=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubAgent:
    """What a sub-agent is, for `Agent(subagents=[…])`."""

    name: str
    """The name of the tool that calls it"""
    description: str
    """What it is good for, told to the model that may call it"""
    instructions: str = ""
    """Its own prompt, after the one every agent has"""
    tools: Sequence[Tool | Callable[..., object] | str] | None = None
    """Names choose among the caller's tools; None is all of them but its other sub-agents"""
    model: Model | str | None = None
    """None is the caller's"""
    policy: Policy | None = None
    """Narrows the caller's"""
    budgets: Budgets = UNLIMITED
    """Of one call; what it takes counts against the caller's too"""
    subagents: tuple["SubAgent", ...] = ()
    """Its own, as deep as the policy's `agents.depth` lets them be nested"""
    parallel: bool = False
    """Calls of one reply run side by side although it may change the workspace"""
    source: str = ""
    """The file it was read from"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRun:
    """What a sub-agent's run came to."""

    run_id: str
    answer: str
    stop: Stop
    error: str
    flow: FlowState
    """What it had read when it ended, so that its answer may depend on it"""


Start = Callable[[str, ToolContext], Awaitable[ChildRun]]
"""Does a task: as what call, with the run's own rights and budgets."""


def delegate(
    definition: SubAgent, effects: Iterable[Effect], start: Start, *, in_copy: bool
) -> Tool:
    """The tool that gives a sub-agent a task. Raises: ToolDefinitionError for a bad name.

    `in_copy`: the caller works on a private copy of the workspace, which the sub-agent needs.
    """

    async def run(context: ToolContext, task: str) -> Output:
        """Give the task.

        Args:
            task: What to do, with everything needed to do it: nothing else is known there.
        """
        try:
            child = await start(task, context)
        except asyncio.CancelledError:
            raise
        except (WardianError, SandboxError) as error:
            return failed(f"{definition.name} broke down: {error}"[:MAX_FAILURE_CHARS])
        flow = child.flow
        facts: dict[str, Any] = {"run_id": child.run_id, "stop": child.stop.value}
        labelled = partial(
            Output,
            integrity=flow.integrity,
            confidentiality=flow.confidentiality,
            data=facts | ({"outside": True} if flow.outside else {}),
        )
        if child.stop is Stop.DONE:
            return labelled(content=child.answer)
        said = f"{definition.name} did not reach an answer: {child.error}"[:MAX_FAILURE_CHARS]
        rest = f"\nIts last text was:\n{child.answer}" if child.answer else ""
        return labelled(content=said + rest, status=ResultStatus.ERROR)

    made = tool(name=definition.name, description=definition.description, effects=effects)(run)
    return replace(made, parallel=definition.parallel, uses_sandbox=in_copy)


def failed(text: str) -> Output:
    return Output(content=text, status=ResultStatus.ERROR)


def all_effects(tools: Iterable[Tool]) -> frozenset[Effect]:
    """What a sub-agent with these tools may do to the workspace. What it sends out is decided call
    by call, by the labels it has inherited."""
    effects = {effect for tool in tools for effect in tool.effects}
    return frozenset(effects - {Effect.EGRESS, Effect.CONFIGURES})


def effects_of(definition: SubAgent, theirs: Sequence[Tool]) -> frozenset[Effect]:
    """What it, and those it may call in turn, may do to the workspace."""
    own = chosen(definition, theirs)
    below = [effects_of(one, own) for one in definition.subagents]
    return all_effects(own).union(*below)


def with_all_below(definition: SubAgent) -> Iterator[SubAgent]:
    """It, and those it may call in turn."""
    yield definition
    for one in definition.subagents:
        yield from with_all_below(one)


def chosen(definition: SubAgent, theirs: Sequence[Tool]) -> list[Tool]:
    """The sub-agent's tools, where names are those of its caller's.

    A file cannot know what its caller has, so a name that is not among it gives nothing there.
    Raises: UnknownTool.
    """
    if definition.tools is None:
        return list(theirs)
    found: list[Tool] = []
    for item in definition.tools:
        if isinstance(item, str):
            known = {one.name for one in theirs}
            found += select([item] if item in known or not definition.source else [], theirs)
        else:
            found.append(item if isinstance(item, Tool) else tool(item))
    return found
