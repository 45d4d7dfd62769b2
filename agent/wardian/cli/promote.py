"""`agent models promote`: a candidate takes the place of the model in service, if it is better."""

import asyncio
import os
import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from wardian.agent import Agent
from wardian.budget import Ledger
from wardian.cli.eval_progress import Progress, progress_on
from wardian.cli.eval_work import agent_of, code_of
from wardian.cli.interrupts import Interrupts
from wardian.cli.listing import print_json, print_table
from wardian.cli.model_choice import BUILT_IN, with_model
from wardian.cli.models_hub import say
from wardian.cli.models_own import say_overruled
from wardian.cli.terminal import terminal
from wardian.errors import ConfigurationError, ExitCode
from wardian.evals.loading import load_suite
from wardian.promotion.gate import HEADERS, TOLERATED_LOSS, Decision, Verdict, rows
from wardian.promotion.promote import Agents, Places, Trial, promote
from wardian.settings import Settings, load_settings
from wardian_policies.types import Budgets

CORE = "core"
"""The suite that comes with Wardian"""


def promote_model(
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="Such as local:NAME.")],
    *,
    suite: Annotated[
        str, typer.Option(metavar="SUITE", help="Held-out tasks that it has to do better on.")
    ] = CORE,
    guard: Annotated[
        str | None,
        typer.Option(
            metavar="SUITE",
            help="Tasks of old abilities, on which it must lose nothing "
            "(default: core, where that is not the suite itself).",
        ),
    ] = None,
    no_guard: Annotated[bool, typer.Option("--no-guard", help="Decide without a guard.")] = False,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="Of both suites: test, dev, train or all.")
    ] = "test",
    against: Annotated[
        str, typer.Option(metavar="MODEL", help="What it must beat (default: what is in service).")
    ] = "",
    attempts: Annotated[int, typer.Option(min=1, help="At each task, of each model.")] = 4,
    jobs: Annotated[int, typer.Option(min=1, help="Attempts at once.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples.")] = 0,
    tolerated_loss: Annotated[
        float, typer.Option(min=0, max=1, help="Of the guard's share, where it could be chance.")
    ] = TOLERATED_LOSS,
    max_seconds: Annotated[
        float | None, typer.Option(min=0, help="For all attempts; the same command goes on.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="For all attempts together.")
    ] = None,
    sandbox: Annotated[str | None, typer.Option(help="Where attempts run.")] = None,
    policy: Annotated[str | None, typer.Option(help="What attempts may do.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Attempt anew what was attempted before.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide, and leave the present model in service.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the decision as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Put a model in service if it is significantly better, and has not forgotten anything."""
    trial = Trial(
        suite=suite,
        guard=None if no_guard else guard_of(suite, guard),
        split=None if split == "all" else split,
        attempts=attempts,
        jobs=jobs,
        seed=seed,
        tolerated_loss=tolerated_loss,
        again=again,
    )
    flags = {"sandbox": sandbox, "policy": policy}
    present = present_settings(flags, against)
    budget = Budgets(
        steps=None, tool_calls=None, tokens=max_tokens, cost_usd=None, wall_seconds=max_seconds
    )
    is_bounded = max_tokens is not None or max_seconds is not None

    with progress_on(terminal(sys.stderr), quiet=quiet) as progress:
        decision = asyncio.run(
            _stoppable(
                candidate,
                trial,
                progress,
                against=present.model or BUILT_IN,
                agents=agents_by(present, flags),
                within=Ledger(budget) if is_bounded else None,
                dry_run=dry_run,
            )
        )
    if decision is None:
        say("Stopped; the same command goes on where it was.")
        return ExitCode.INTERRUPTED
    _show(decision, candidate, as_json=as_json, dry_run=dry_run)
    if is_bounded and decision.verdict is Verdict.UNDECIDED and not decision.problem:
        say("--max-seconds or --max-tokens ended it: raise it, or leave it out, to go on.")
    if decision.verdict is Verdict.UNDECIDED and decision.problem:
        return code_of(decision.broke)
    if decision.verdict is Verdict.UNDECIDED and is_bounded:
        return ExitCode.LIMIT
    return ExitCode.DONE if decision.verdict is Verdict.BETTER else ExitCode.NOT_ACHIEVED


async def _stoppable(
    candidate: str, trial: Trial, progress: Progress, **more: Any
) -> Decision | None:
    """None where Ctrl-C ended it."""
    with Interrupts() as interrupts:
        work = asyncio.create_task(promote(candidate, trial, watcher=progress, **more))
        interrupts.stop = work.cancel
        try:
            await asyncio.wait([work])
        finally:
            interrupts.stop = lambda: None
        return None if work.cancelled() else work.result()


def guard_of(suite: str, guard: str | None) -> str:
    """Raises: ConfigurationError where nothing is left to guard by."""
    chosen = guard or CORE
    if load_suite(chosen).digest == load_suite(suite).digest:
        raise ConfigurationError(
            f"{suite} cannot guard itself: a gain on it would hide what was lost elsewhere.",
            "Name tasks of old abilities with --guard SUITE, or do without: --no-guard",
        )
    return chosen


def present_settings(flags: dict[str, Any], against: str) -> Settings:
    """Of the model in service, or of the one that is to be beaten. Raises: ConfigurationError."""
    settings = load_settings({**flags, "model": against or None}, os.environ)
    in_service = Places.of(os.environ).choices.now().model
    if against and against != in_service:
        settings = replace(settings, adapter="", base_url=None)
    if settings.model is None:
        settings = replace(settings, model=BUILT_IN)
    return with_model(settings, _quiet)


def agents_by(present: Settings, flags: dict[str, Any]) -> Agents:
    """Agents for models by their spelling: what the settings say of the present model's address
    and adapter is for that one alone."""

    def agents(model: str) -> Agent[Any]:
        if model == present.model:
            return agent_of(present)
        settings = load_settings({**flags, "model": model}, os.environ)
        return agent_of(with_model(replace(settings, adapter="", base_url=None), _quiet))

    return agents


def _quiet(_: object) -> None:
    """What was found is not of interest here."""


def _show(decision: Decision, candidate: str, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json(decision.as_json())
    elif decision.verdict is not Verdict.UNDECIDED:
        print_table(HEADERS, rows(decision), "")
    say(decision.reason)
    if decision.verdict is Verdict.BETTER:
        if dry_run:
            say(f"{candidate} would be put in service (--dry-run changes nothing).")
            return
        say(f"Runs now use {candidate}. Take it back with: agent models rollback")
        say_overruled()
    else:
        say("The model in service stays.")
