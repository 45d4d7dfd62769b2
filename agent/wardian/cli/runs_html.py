"""`agent runs html`: a run as one page that opens from disk."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from wardian.cli.reading import as_read
from wardian.cli.resume import RunName
from wardian.cli.sanitise import visible
from wardian.cli.stored import store
from wardian.cli.terminal import write
from wardian.errors import ExitCode, StorageError
from wardian.viewing.page import page


def html(
    run: RunName,
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Default: RUN.html, in this folder."),
    ] = None,
) -> int:
    """Write a run as one HTML page that needs no network and no other file.

    The page is readable by you only. It shows what `agent runs show` shows, in full: look at it
    before you give it to somebody.
    """
    trajectory = as_read(store().load(run))
    target = output or Path(f"{trajectory.run_id}.html")
    content = page(trajectory).encode()
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise StorageError(
            f"{target} cannot be written: {error.strerror}.", "Choose another place with -o."
        ) from error
    write(sys.stdout, visible(str(target)) + "\n")
    return ExitCode.DONE
