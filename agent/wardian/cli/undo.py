"""`agent undo`: take back what a run did to files."""

import sys
from typing import Annotated

import typer

from wardian.cli.closing import counted
from wardian.cli.listing import print_json
from wardian.cli.sanitise import visible
from wardian.cli.stored import store
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.runs.undo import undo as undo_run


def register(app: typer.Typer) -> None:
    app.command("undo", epilog="Example: agent undo --step")(undo)


def undo(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="A run's id, its beginning or end, or `last`.")
    ] = "last",
    *,
    step: Annotated[bool, typer.Option("--step", help="Only its last step.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Take back what a run did to files. What was changed since is named and left alone.

    Exit code 1 says that something was left alone.
    """
    undone = undo_run(store(), run, last_step_only=step)
    if as_json:
        print_json(
            [
                {
                    "steps": list(undone.steps),
                    "paths": list(undone.paths),
                    "conflicts": list(undone.conflicts),
                }
            ]
        )
    else:
        for path in undone.paths:
            write(sys.stdout, f"taken back: {visible(path)}\n")
        for path in undone.conflicts:
            write(sys.stdout, f"left alone, changed since or not kept: {visible(path)}\n")
        steps = ", ".join(map(str, undone.steps))
        files = counted(len(undone.paths), "path")
        noun = "step" if len(undone.steps) == 1 else "steps"
        write(sys.stderr, f"{noun} {steps}: {files} taken back\n")
    return ExitCode.NOT_ACHIEVED if undone.conflicts else ExitCode.DONE
