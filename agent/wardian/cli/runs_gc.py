"""`agent runs gc`: what of the stored runs can go."""

import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from wardian.cli.closing import counted
from wardian.cli.filter_options import filtered
from wardian.cli.listing import print_json, print_table
from wardian.cli.runs_list import say_progress
from wardian.cli.sanitise import visible
from wardian.cli.stored import store
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.runs.filters import Filters

AGE = re.compile(r"(\d{1,6})([hdw])")
UNITS = {"h": 3600, "d": 86_400, "w": 604_800}


@filtered
def gc(
    *,
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Runs not written to for so long: 12h, 90d, 8w.")
    ] = "",
    keep: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="The newest N runs stay.")
    ] = None,
    marked: Annotated[
        bool,
        typer.Option("--marked", help="Also runs that you rated, tagged, labelled or judged."),
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Do it, rather than say it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    filters: Filters,
) -> int:
    """Show what could go: what nothing refers to, and the runs that the options name.

    Nothing is removed without --apply. A run that is going on always stays, and one that you marked
    stays unless you say --marked.
    """
    known, since = store(), _moment(older_than)
    if filters.parent:
        filters = replace(filters, parent=known.find(filters.parent))
    from wardian.runs import sweeping  # SQLite

    sweep = sweeping.plan(
        known.root,
        filters=filters,
        older_than_ns=since,
        keep=keep,
        marked=marked,
        report=say_progress,
    )
    going = [*sweep.runs, *sweep.leftovers]
    freed = sweeping.apply(known.root, sweep, _say_skipped) if apply else 0
    if as_json:
        rows = [{"path": str(one.path), "bytes": one.size, "why": one.why} for one in going]
        print_json({"going": rows, "stay": dict(sweep.stay), "applied": apply, "freed": freed})
        return ExitCode.DONE
    print_table(("RUN", "PART", "BYTES", "WHY"), _rows(known.root, going), "Nothing can go.")
    stays = "stays" if apply else "would stay"
    for reason, count in sorted(sweep.stay.items()):
        verb = "stay" if apply and count > 1 else stays
        write(sys.stderr, f"{counted(count, 'more run')} {verb}: {reason}\n")
    if apply:
        write(sys.stderr, f"{freed:,} bytes are free now\n")
    elif going:
        write(sys.stderr, f"--apply removes this and frees {sweep.size:,} bytes\n")
    return ExitCode.DONE


def _rows(root: Path, going: list[Any]) -> list[tuple[str, ...]]:
    """A line for each run that goes, one for all that goes of a run that stays."""
    parts: dict[tuple[str, str], list[Any]] = {}
    rows: list[tuple[str, ...]] = []
    for one in going:
        run_id, *inside = one.path.relative_to(root).parts
        if inside:
            parts.setdefault((run_id, one.why), []).append(one)
        else:
            rows.append((run_id, "all", f"{one.size:,}", one.why))
    return rows + [
        (run_id, counted(len(files), "file"), f"{sum(one.size for one in files):,}", why)
        for (run_id, why), files in parts.items()
    ]


def _moment(age: str) -> int | None:
    """In ns since 1970. Raises: UsageError."""
    if not age:
        return None
    if not (found := AGE.fullmatch(age)):
        raise UsageError(f"{visible(age)!r} is no age.", "Write 12h, 90d or 8w.")
    return time.time_ns() - int(found[1]) * UNITS[found[2]] * 1_000_000_000


def _say_skipped(why: str) -> None:
    write(sys.stderr, f"agent: {visible(why)}\n")
