"""`agent runs stats`: what each step of a run took."""

from typing import Annotated

import typer

from wardian.cli.listing import print_json, print_table
from wardian.cli.reading import warn_of_damage
from wardian.cli.resume import RunName
from wardian.cli.stored import store
from wardian.errors import ExitCode
from wardian.viewing.steps import Step, steps_of

HEADERS = ("STEP", "MODEL S", "CALLS S", "PROMPT", "CACHED", "COMPLETION", "CALLS", "STATUS")


def stats(
    run: RunName,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Show what each step of a run took: seconds, tokens, calls and how they ended."""
    trajectory = store().load(run)
    steps = [step for step in steps_of(trajectory.events) if step.number]
    warn_of_damage(trajectory)
    if as_json:
        print_json([facts(step) for step in steps])
        return ExitCode.DONE
    rows = [(str(step.number), *cells(step)) for step in steps]
    if len(steps) > 1:
        whole = Step(number=0, events=tuple(event for step in steps for event in step.events))
        rows.append(("all", *cells(whole)))
    print_table(HEADERS, rows, "The run has no step yet.")
    return ExitCode.DONE


def cells(step: Step) -> tuple[str, ...]:
    usage = step.usage
    return (
        f"{step.model_seconds:.2f}",
        f"{step.calls_seconds:.2f}",
        f"{usage.prompt_tokens:,}",
        f"{usage.cached_tokens:,}",
        f"{usage.completion_tokens:,}",
        str(step.calls),
        step.status,
    )


def facts(step: Step) -> dict[str, object]:
    usage = step.usage
    return {
        "step": step.number,
        "model_seconds": round(step.model_seconds, 6),
        "calls_seconds": round(step.calls_seconds, 6),
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "completion_tokens": usage.completion_tokens,
        "calls": step.calls,
        "status": step.status,
    }
