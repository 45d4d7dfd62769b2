"""The console script `agent`. Help and version need nothing else and import nothing else."""

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from wardian._version import __version__
from wardian.cli.commands import HELP
from wardian.errors import ExitCode


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `agent` with `argv` (default: the process's own) and exit with its code."""
    try:
        code = start(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader left (`agent runs list | head`). What is still buffered has nowhere to go, and
        # the interpreter would complain about it while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + 13
    sys.exit(int(code))


def start(argv: list[str]) -> int:
    if "_AGENT_COMPLETE" in os.environ:  # how a shell asks, without arguments
        from wardian.cli.application import complete

        complete()
    if not argv or argv[0] in ("--help", "-h", "help"):
        sys.stdout.write(HELP)
        return ExitCode.DONE
    if argv == ["--version"]:
        sys.stdout.write(f"agent {__version__}\n")
        return ExitCode.DONE
    # Imports make objects that stay; looking through them for garbage is a tenth of the start.
    gc.set_threshold(20_000)
    from wardian.cli.dispatch import dispatch

    return dispatch(argv)
