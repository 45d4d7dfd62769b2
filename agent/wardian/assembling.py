"""What a run is made of: an agent's parts, and its sub-agents as tools."""

import asyncio
import copy
from dataclasses import replace
from functools import partial
from typing import Any

from wardian.answers import answer_check
from wardian.children import Caller, Children
from wardian.compaction import Window, fitting
from wardian.configured import ConfiguredAgent
from wardian.hiding import is_read_elsewhere, model_of, stays_here
from wardian.loop import Run
from wardian.recorder import RunRecorder
from wardian.run_box import RunBox
from wardian.subagents import SubAgent, chosen, delegate, effects_of, with_all_below
from wardian.types import ToolSpec
from wardian_policies.narrowing import least_budgets
from wardian_tools import Effect, Registry, Tool
from wardian_tools.types import Question


def assemble(agent: ConfiguredAgent[Any], run_id: str, recorder: RunRecorder, box: RunBox) -> Run:
    """A run of the agent, its sub-agents among its tools."""
    run = Run(
        id=run_id,
        model=agent.model,
        registry=agent.registry,
        specs=(),
        window=window_of(agent),
        policy=agent.policy,
        workspace=agent.workspace,
        box=box,
        recorder=recorder,
        conversation=recorder.conversation,
        meter=recorder.meter,
        labels=recorder.labels,
        screen=recorder.screen,
        sampling=agent.sampling,
        private_model=agent.private_model,
        approve=agent.approve,
        grants=agent.grants,
        ask_user=agent.ask_user,
        check_answer=agent.check.problem,
        output_schema=recorder.screen.hidden(agent.check.schema),
        by=agent.caller.name if agent.caller else "",
    )
    if delegates := delegates_for(agent, run):
        run.registry = Registry([*agent.registry, *delegates])
    specs = (
        ToolSpec(name=t.name, description=t.description, parameters=t.parameters)
        for t in run.registry
    )
    run.specs = fitting(run.screen.hidden(tuple(specs)), run.window)
    return run


def window_of(agent: ConfiguredAgent[Any]) -> Window | None:
    """How much the model can read: as the caller or the model itself says."""
    identity = agent.model.identity
    known = agent.context_tokens or identity.get("context_tokens")
    return Window(known, identity.get("reply_tokens")) if isinstance(known, int) else None


def delegates_for(agent: ConfiguredAgent[Any], run: Run) -> list[Tool]:
    """The tools that call this agent's sub-agents, for one run."""
    depth = agent.caller.depth + 1 if agent.caller else 1
    if depth > agent.policy.agents.depth:
        return []
    children = Children(run, depth, agent.policy.agents.parallel, is_read_elsewhere(agent))

    def made(definition: SubAgent) -> Tool:
        start = partial(children.perform, definition, partial(as_child, agent))
        effects = effects_of(definition, list(agent.registry))
        theirs = with_all_below(definition)
        if agent.model.is_local and not all(stays_here(agent, one) for one in theirs):
            effects |= {Effect.EGRESS}
        return delegate(definition, effects, start, in_copy=agent.workspace_mode == "copy")

    return [made(definition) for definition in agent.subagents]


def as_child(
    agent: ConfiguredAgent[Any], definition: SubAgent, caller: Caller, asking: asyncio.Lock
) -> ConfiguredAgent[Any]:
    """This agent as one of its sub-agents: what is not said otherwise stays as it is."""
    child = copy.copy(agent)
    budgets = definition.budgets
    if definition.policy:
        child.policy = agent.policy.narrowed_by(definition.policy)
        budgets = least_budgets(budgets, definition.policy.budgets)
    child.policy = child.policy.with_budgets(budgets)  # and its caller's, by the ledger
    child.registry = Registry(chosen(definition, list(agent.registry)))
    child.model = model_of(agent, definition)
    child.instructions = definition.instructions
    child.subagents = definition.subagents
    child.check = answer_check(None, None)
    child.caller = caller
    if ask_user := agent.ask_user:

        async def one_question(question: Question) -> str | None:
            async with asking:
                # One further down has said its own name already.
                return await ask_user(replace(question, by=question.by or caller.name))

        child.ask_user = one_question
    return child
