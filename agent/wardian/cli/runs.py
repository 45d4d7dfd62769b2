"""`agent runs`: what was recorded."""

import os
import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from wardian.cli.closing import closing_lines
from wardian.cli.grouping import group_of
from wardian.cli.json_lines import event_line, result_line
from wardian.cli.marks import label, tag
from wardian.cli.outcome import Outcome
from wardian.cli.rate import rate
from wardian.cli.reading import as_read, warn_of_damage
from wardian.cli.render_stored import StoredRenderer
from wardian.cli.runs_diff import diff
from wardian.cli.runs_gc import gc
from wardian.cli.runs_html import html
from wardian.cli.runs_list import list_runs
from wardian.cli.runs_search import search
from wardian.cli.runs_stats import stats
from wardian.cli.runs_verify import verify
from wardian.cli.sanitise import visible
from wardian.cli.terminal import terminal, write
from wardian.errors import ExitCode
from wardian.runs import RunStore
from wardian.settings import paths
from wardian.viewing.steps import origin

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, its beginning or end, or `last`.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    group = group_of("List, show, search, compare, mark and remove recorded runs.")
    group.command("list", epilog="Example: agent runs list --status done --tool shell --limit 5")(
        list_runs
    )
    group.command("show", epilog="Example: agent runs show last")(show)
    group.command("html", epilog="Example: agent runs html last -o run.html")(html)
    group.command("search", epilog='Example: agent runs search "a.txt" --limit 5')(search)
    group.command("stats", epilog="Example: agent runs stats last")(stats)
    group.command("path", epilog="Example: agent runs path last")(path)
    group.command("rate", epilog='Example: agent runs rate last --bad --note "too slow"')(rate)
    group.command("diff", epilog="Example: agent runs diff last last")(diff)
    group.command("tag", epilog="Example: agent runs tag last --add good-start")(tag)
    group.command("label", epilog="Example: agent runs label last topic=files")(label)
    group.command("verify", epilog="Example: agent runs verify last")(verify)
    group.command("gc", epilog="Example: agent runs gc --older-than 90d --keep 200")(gc)
    group.command("rm", epilog="Example: agent runs rm last")(remove)
    app.add_typer(group, name="runs")


def store() -> RunStore:
    return RunStore(paths(os.environ).runs)


def show(run: RunArgument, *, as_json: JsonOption = False) -> int:
    """Show a run step by step; --json prints the lines of `agent run --json`."""
    trajectory = as_read(store().load(run))
    warn_of_damage(trajectory)
    outcome = Outcome(
        started=trajectory.started, finished=trajectory.finished, path=trajectory.path
    )
    if as_json:
        lines = (line for event in trajectory.events if (line := event_line(event)))
        for line in (*lines, result_line(outcome)):
            write(sys.stdout, line + "\n")
        return ExitCode.DONE
    screen = terminal(sys.stdout)
    page = StoredRenderer(screen, sys.stdout, trajectory.events)
    if outcome.started:
        if words := origin(outcome.started):
            page.say(visible(words))
        page.say(f"task: {visible(outcome.started.task.prompt)}")
    for event in trajectory.events:
        page.on(event)
    if outcome.finished and outcome.finished.answer:
        page.say(f"\n{visible(outcome.finished.answer)}\n")
    for line in closing_lines(outcome, screen):
        page.say(line)
    return ExitCode.DONE


def path(run: RunArgument) -> int:
    """Print where a run's trajectory is."""
    write(sys.stdout, f"{store().path(run)}\n")
    return ExitCode.DONE


def remove(runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs.")]) -> int:
    """Remove runs, with everything recorded of them."""
    known = store()
    for run_id in found(known, runs):
        known.remove(run_id)
        write(sys.stderr, f"removed {run_id}\n")
    return ExitCode.DONE


def found(known: RunStore, names: Iterable[str]) -> list[str]:
    """Their ids, all looked up before any is removed. Raises: RunNotFound."""
    return list(dict.fromkeys(known.find(name) for name in names))
