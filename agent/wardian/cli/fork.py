"""`agent fork`: restart a run from one of its steps, each time in a copy of the workspace."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli.approve import Approvals, Person
from wardian.cli.closing import shortened
from wardian.cli.interrupts import Interrupts
from wardian.cli.outcome import Outcome, RunBroke
from wardian.cli.resume import RunName
from wardian.cli.run import asks
from wardian.cli.run_options import (
    ApproveWhen,
    MaxCost,
    MaxSteps,
    MaxTokens,
    MaxToolCalls,
    ModelName,
    Plain,
    Quiet,
    SandboxName,
    Seed,
    Temperature,
    Timeout,
    Url,
)
from wardian.cli.sanitise import visible
from wardian.cli.session import Opening, attempt
from wardian.cli.stored import Chosen, StoredAgent, only, store, stored_agent
from wardian.cli.terminal import person_fd
from wardian.cli.view import View
from wardian.errors import ExitCode
from wardian.reruns.forking import Fork, link
from wardian.reruns.forking import fork as fork_run

AtStep = Annotated[int, typer.Option("--at", min=1, metavar="K", help="The step to do anew.")]
Count = Annotated[int, typer.Option("--n", min=1, max=256, metavar="N", help="How many forks.")]


def register(app: typer.Typer) -> None:
    app.command("fork", epilog="Example: agent fork last --at 2 --n 4 --temperature 1")(fork)


def fork(
    run: RunName,
    *,
    at: AtStep,
    n: Count = 1,
    model: ModelName = None,
    base_url: Url = None,
    seed: Seed = None,
    temperature: Temperature = None,
    sandbox: SandboxName = None,
    max_steps: MaxSteps = None,
    max_tool_calls: MaxToolCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    timeout: Timeout = None,
    approve: ApproveWhen = None,
    quiet: Quiet = False,
    plain: Plain = False,
) -> int:
    """Restart a run from step K, with the conversation and the files as they then were.

    Each fork works in a workspace of its own; your folder is left alone. With --n the forks are
    siblings with seeds that count on. Limits count from the first run's beginning. Exit code 0
    says that at least one reached an answer.
    """
    trajectory = store().load(run)
    chosen = Chosen(
        model=model,
        base_url=base_url,
        sandbox=sandbox.value if sandbox else None,
        temperature=temperature,
        budgets=only(
            steps=max_steps,
            tool_calls=max_tool_calls,
            tokens=max_tokens,
            cost_usd=max_cost,
            wall_seconds=timeout,
        ),
    )
    stored = stored_agent(trajectory, chosen)
    view = View(as_json=False, quiet=quiet, plain=plain, answer_file=None)
    view.notices(stored.notices)
    fd = person_fd() if asks(approve, as_json=False) else None
    person = Person(fd) if fd is not None else None
    try:
        outcomes = asyncio.run(perform(stored, trajectory.run_id, at, n, seed, view, person))
    except RunBroke as broke:
        view.close(broke.outcome)
        raise
    finally:
        if person:
            person.close()
    if any(outcome.is_done for outcome in outcomes):
        return ExitCode.DONE
    return outcomes[-1].exit_code


async def perform(
    stored: StoredAgent,
    run_id: str,
    step: int,
    count: int,
    seed: int | None,
    view: View,
    person: Person | None,
) -> list[Outcome]:
    """The forks one after another, each concluded; those that began are linked.

    Raises: RunBroke.
    """
    outcomes: list[Outcome] = []
    begun: list[Fork] = []
    with Interrupts() as interrupts:
        folder = Path(stored.started.workspace)
        approve = Approvals(person, view.renderer, interrupts, folder) if person else None
        async with stored.make(approve) as agent:
            forks = await fork_run(agent, run_id, step, count=count, seed=seed)
            try:
                for one in forks:
                    begun.append(one)
                    if approve:
                        approve.workspace, approve.is_copy = one.place or folder, not one.place
                    opening = Opening(one.rerun.follow())
                    outcome = await attempt(agent, opening, view.renderer, interrupts)
                    view.conclude(outcome)
                    if one.place and one.place.is_dir():
                        view.notices([f"its workspace: {visible(shortened(one.place))}"])
                    outcomes.append(outcome)
                    if outcome.signal:
                        break
            finally:
                assert agent.store
                link(agent.store, [one for one in begun if one.run_id in agent.store.ids()])
    return outcomes
