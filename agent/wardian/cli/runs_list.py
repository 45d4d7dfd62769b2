"""`agent runs list`: recorded runs, all or those that some filters let through."""

import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.cli.filter_options import filtered
from wardian.cli.listing import print_json, print_table
from wardian.cli.reading import listed
from wardian.cli.stored import store
from wardian.cli.terminal import terminal, write
from wardian.errors import ExitCode
from wardian.runs import RunStore
from wardian.runs.facts import RunFacts
from wardian.runs.filters import Filters
from wardian.runs.holding import is_held
from wardian.runs.log import LOG_NAME

HEADERS = ("RUN", "STARTED (UTC)", "END", "STEPS", "MODEL", "TASK")
PROGRESS_FROM = 500
UNFINISHED = "unfinished"
Row = dict[str, Any]


@filtered
def list_runs(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with tags, labels and tools.")
    ] = False,
    filters: Filters,
) -> int:
    """List recorded runs, newest first; with options, those for which all of them hold."""
    known = store()
    if as_json or filters.are_any:
        found = [facts(known, one) for one in find(known, filters)[:limit]]
    else:
        found = [
            {
                "run_id": one.run_id,
                "started": one.started,
                "stop": one.stop,
                "steps": one.steps,
                "model": one.model,
                "prompt": one.prompt,
                "parent": one.parent or None,
                "fork_of": one.fork or None,
                "is_running": one.stop == UNFINISHED and is_running(one.path.parent),
            }
            for one in islice(known.list(), limit)
        ]
    rows = listed(found)
    if as_json:
        print_json(rows)
        return ExitCode.DONE
    none_yet = 'No run is recorded yet. Make one: agent run "…"'
    empty = "No recorded run is like that." if filters.are_any else none_yet
    print_table(HEADERS, [cells(row) for row in rows], empty)
    return ExitCode.DONE


def find(known: RunStore, filters: Filters) -> list[RunFacts]:
    """Newest first. Raises: RunNotFound for a parent that is not stored."""
    if filters.parent:
        filters = replace(filters, parent=known.find(filters.parent))
    from wardian.runs.search import find_runs  # SQLite, for who looks for some

    return find_runs(known.root, filters, say_progress)


def say_progress(done: int, of: int) -> None:
    if of >= PROGRESS_FROM and terminal(sys.stderr).is_tty:
        write(sys.stderr, f"\rreading runs: {done} of {of}" + ("\n" if done == of else ""))


def is_running(folder: Path) -> bool:
    """Does a process go on with it? Not a run that was cut off."""
    try:
        return is_held(folder)
    except OSError:
        return False


def cells(row: Row) -> tuple[str, ...]:
    """For the table; a sub-agent's task is a call of another run, a fork's another run's task."""
    started = row["started"][:16].replace("T", " ")
    steps = "-" if row["steps"] is None else str(row["steps"])
    task = row["prompt"]
    for word, run_id in (("for", row["parent"]), ("fork of", row["fork_of"])):
        task = f"({word} {run_id[-6:]}) {task}" if run_id else task
    end = "running" if row["is_running"] else row["stop"]
    return (row["run_id"], started, end, steps, row["model"], task)


def facts(known: RunStore, one: RunFacts) -> Row:
    return {
        "run_id": one.run_id,
        "started": one.started,
        "stop": one.stop,
        "steps": one.steps,
        "model": one.model,
        "prompt": one.prompt,
        "parent": None if one.is_fork else one.parent or None,
        "fork_of": one.parent if one.is_fork else None,
        "is_running": one.stop == UNFINISHED and is_running(known.root / one.run_id),
        "workspace": one.workspace,
        "tools": list(one.tools),
        "tags": list(one.tags),
        "labels": dict(one.labels),
        "rated": one.rated or None,
        "reward": one.reward,
        "path": str(known.root / one.run_id / LOG_NAME),
    }
