"""One `agent run`: the task, what the person says meanwhile, how it ended."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardian.agent import Agent
from wardian.approval import Approve
from wardian.budget import NOTHING, Amount
from wardian.cli.approve import Approvals, Person
from wardian.cli.interrupts import Interrupts
from wardian.cli.outcome import Outcome, RunBroke
from wardian.cli.questions import Questions
from wardian.cli.render import Renderer
from wardian.errors import WardianError
from wardian.events import Event, RunStarted
from wardian.settings.saving import RulePlace, save_rule
from wardian.types import Message, Task


@dataclass(frozen=True, slots=True)
class Opening:
    """What is done first, and what is known of it before it begins."""

    events: AsyncGenerator[Event, None]
    started: RunStarted | None = None
    """Of a run that goes on"""


Open = Callable[[Agent[Any], Person | None, Renderer, Interrupts], Awaitable[Opening]]


def new_task(task: Task) -> Open:
    """A run of its own."""

    async def open_(agent: Agent[Any], *_: object) -> Opening:
        return Opening(agent.stream(task))

    return open_


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a run goes on from."""

    messages: tuple[Message, ...] = ()
    spent: Amount = NOTHING


async def converse(
    make_agent: Callable[[Approve | None], Agent[Any]],
    open_: Open,
    renderer: Renderer,
    person: Person | None,
    workspace: Path,
    place: RulePlace | None = None,
) -> Outcome:
    """Run what is opened; after a Ctrl-C, what the person wants instead, until it ends by itself.

    An "always" is saved at `place`. Raises: RunBroke.
    """

    def save(where: RulePlace, pattern: str) -> None:
        save_rule(where, pattern, os.environ)

    with Interrupts() as interrupts:
        approve = None
        if person:
            approve = Approvals(person, renderer, interrupts, workspace, place, save)
        async with make_agent(approve) as agent:
            if approve:
                approve.is_copy = agent.workspace_mode == "copy"
            if person:
                agent.ask_user = Questions(person, renderer, interrupts)
            opening = await open_(agent, person, renderer, interrupts)
            while True:
                outcome = await attempt(agent, opening, renderer, interrupts)
                if outcome.signal != signal.SIGINT or not person or not outcome.started:
                    return outcome
                prompt = await ask_for_direction(person, renderer, interrupts)
                if not prompt:
                    return outcome
                interrupts.forget()
                task = Task(prompt=prompt, output_schema=outcome.started.task.output_schema)
                before = stored(agent, outcome)
                going = agent.stream(task, earlier=before.messages, spent=before.spent)
                opening = Opening(going)


async def attempt(
    agent: Agent[Any], opening: Opening, renderer: Renderer, interrupts: Interrupts
) -> Outcome:
    """One run of the agent, shown as it goes. A signal ends it and is part of the outcome."""
    outcome = Outcome(started=opening.started)
    if opening.started and agent.store:
        outcome.path = agent.store.path(opening.started.run_id)

    async def follow() -> None:
        async with aclosing(opening.events) as events:
            async for event in events:
                outcome.note(event)
                if isinstance(event, RunStarted) and agent.store:
                    outcome.path = agent.store.path(event.run_id)
                renderer.on(event)

    running = asyncio.create_task(follow())
    interrupts.stop = running.cancel
    if interrupts.count:
        running.cancel()
    try:
        await asyncio.wait([running])
    finally:
        interrupts.stop = lambda: None
        renderer.pause()
    if running.cancelled():
        outcome.signal = interrupts.signal
        recall_the_end(agent, outcome)
    elif error := running.exception():
        raise RunBroke(outcome) from error
    return outcome


def recall_the_end(agent: Agent[Any], outcome: Outcome) -> None:
    """Read from the trajectory how the cancelled run was recorded to end."""
    if agent.store and outcome.started and not outcome.finished:
        try:
            outcome.finished = agent.store.load(outcome.started.run_id).finished
        except WardianError:
            outcome.finished = None


def stored(agent: Agent[Any], outcome: Outcome) -> Before:
    assert outcome.started is not None
    if not agent.store:
        return Before()
    run_id = outcome.started.run_id
    messages = agent.store.load(run_id).messages
    return Before(messages=messages, spent=agent.store.consumed(run_id))


async def ask_for_direction(
    person: Person, renderer: Renderer, interrupts: Interrupts
) -> str | None:
    """What to do instead; None or empty to stop."""

    def ask() -> None:
        renderer.say("Stopped; the run is kept. Say what to do instead, or press Enter to end:")

    return await person.answer(interrupts, ask)
