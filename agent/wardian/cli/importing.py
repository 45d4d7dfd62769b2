"""`agent import`: runs that others recorded."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli.closing import counted
from wardian.cli.listing import print_json
from wardian.cli.sanitise import visible
from wardian.cli.stored import store
from wardian.cli.task_input import UsageError
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.importing import FORMATS, import_file


def register(app: typer.Typer) -> None:
    app.command("import", epilog="Example: agent import runs.jsonl --format atif")(import_runs)


def import_runs(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rows of JSON, or one document.")],
    *,
    format_name: Annotated[
        str, typer.Option("--format", metavar="NAME", help=f"One of: {', '.join(FORMATS)}.")
    ],
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Beside `imported`; several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the new runs' ids.")] = False,
) -> int:
    """Take runs that others recorded into the store, each marked with where it comes from.

    They are listed, searched, shown, rated and exported like any other, and cannot be gone on with.
    Exit code 1 says that no row became a run.
    """
    if format_name not in FORMATS:
        raise UsageError(f"{format_name!r} is no format.", f"Formats: {', '.join(FORMATS)}.")
    done = import_file(store(), file, format_name=format_name, tags=tuple(tag or ()))
    for reason, count in sorted(done.left_out.items()):
        write(sys.stderr, visible(f"left out, {reason}: {count}") + "\n")
    if as_json:
        print_json({"run_ids": done.run_ids, "left_out": dict(sorted(done.left_out.items()))})
    runs, rows = counted(len(done.run_ids), "run"), counted(done.rows, "row")
    write(sys.stderr, f"{runs} of {rows} imported\n")
    return ExitCode.DONE if done.run_ids else ExitCode.NOT_ACHIEVED
