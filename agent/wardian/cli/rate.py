"""`agent runs rate`: say that a run, or a step of it, was good or bad."""

import sys
from typing import Annotated

import typer

from wardian.cli.resume import RunName
from wardian.cli.stored import store
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.events import ModelReplied, Rated
from wardian.reruns.forking import annotate


def rate(
    run: RunName,
    *,
    good: Annotated[bool, typer.Option("--good/--bad", help="Thumbs up or down.")],
    step: Annotated[
        int, typer.Option(min=0, metavar="K", help="Of that step; 0 is the whole run.")
    ] = 0,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
) -> int:
    """Say that a run, or one step of it, was good or bad: for datasets of preferences."""
    trajectory = store().load(run)
    steps = {event.step for event in trajectory.events if isinstance(event, ModelReplied)}
    if step and step not in steps:
        raise UsageError(f"The run has no reply at step {step}.", "`agent runs show` shows them.")
    annotate(store(), trajectory.run_id, Rated(step=step, good=good, note=note))
    what = f"step {step}" if step else "the run"
    write(sys.stderr, f"rated {what} as {'good' if good else 'bad'}: {trajectory.run_id}\n")
    return ExitCode.DONE
