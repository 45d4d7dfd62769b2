"""`agent runs search`: where words stand in recorded runs."""

import sys
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from itertools import islice
from typing import Annotated

import typer

from wardian.cli.filter_options import filtered
from wardian.cli.listing import print_json, print_table
from wardian.cli.reading import as_read, cleaner, known_values
from wardian.cli.runs_list import find as find_runs
from wardian.cli.runs_list import say_progress
from wardian.cli.sanitise import visible
from wardian.cli.stored import store
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.runs.filters import Filters
from wardian.runs.words import Words
from wardian.viewing.finding import Found, find


@filtered
def search(
    query: Annotated[
        str, typer.Argument(metavar="WORDS", help='Words, `begin*`, "phrases in quotes".')
    ],
    *,
    exact: Annotated[
        bool, typer.Option("--exact", help="As it stands there, in any case; reads every run.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many places, the best first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    filters: Filters,
) -> int:
    """Find words in the tasks, replies, calls and results of recorded runs, the best place first.

    All of the words must be in one text. A text without words is looked for as it stands, as one in
    Chinese, Japanese or Thai is: the newest run is first then.
    """
    if not query.strip():
        raise UsageError("There is nothing to look for.", "Give a text.")
    known, values = store(), known_values()
    words = None if exact else Words.of(query)
    among = {one.run_id for one in find_runs(known, filters)} if filters.are_any else None
    places: Iterable[Found]
    if words is None:
        places = find(known, query, partial(as_read, known=values), say_skipped, among)
    else:
        from wardian.viewing.ranked import ranked  # SQLite

        places = ranked(
            known,
            words,
            partial(as_read, known=values),
            cleaner(values),
            limit=limit,
            among=among,
            report=say_progress,
        )
    found: list[Found] = list(islice(places, limit))
    if as_json:
        print_json([asdict(one) for one in found])
        return ExitCode.DONE
    rows = [(one.run_id, str(one.step or "-"), one.where, one.excerpt) for one in found]
    print_table(("RUN", "STEP", "IN", "TEXT"), rows, "No recorded run holds that text.")
    return ExitCode.DONE


def say_skipped(why: str) -> None:
    write(sys.stderr, f"agent: left out {visible(why)}\n")
