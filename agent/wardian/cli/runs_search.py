"""`agent runs search`: where a text stands in recorded runs."""

import sys
from dataclasses import asdict
from itertools import islice
from typing import Annotated

import typer

from wardian.cli.listing import print_json, print_table
from wardian.cli.reading import as_read, known_values
from wardian.cli.sanitise import visible
from wardian.cli.stored import store
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.viewing.finding import find


def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="As it stands there, in any case.")],
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many places, newest run first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Find a text in the tasks, replies, calls and results of all recorded runs."""
    if not text.strip():
        raise UsageError("There is nothing to look for.", "Give a text.")
    known = known_values()
    places = find(store(), text, lambda run: as_read(run, known), say_skipped)
    found = list(islice(places, limit))
    if as_json:
        print_json([asdict(one) for one in found])
        return ExitCode.DONE
    rows = [(one.run_id, str(one.step or "-"), one.where, one.excerpt) for one in found]
    print_table(("RUN", "STEP", "IN", "TEXT"), rows, "No recorded run holds that text.")
    return ExitCode.DONE


def say_skipped(why: str) -> None:
    write(sys.stderr, f"agent: left out {visible(why)}\n")
