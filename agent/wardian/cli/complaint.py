"""How `agent` says that something is wrong."""

import sys

from wardian.cli.sanitise import visible
from wardian.cli.terminal import terminal, write

NO_SANDBOX = "NO SANDBOX: calls run with your rights"


def say_unconfined(sandbox: str | None) -> None:
    """Say at the start of a command that calls will be confined by nothing, if so."""
    if sandbox == "none":
        write(sys.stderr, f"agent: {NO_SANDBOX}\n")


def complain(cause: str, remedy: str) -> None:
    """Write the cause and the remedy to stderr, whatever characters it can show."""
    arrow = terminal(sys.stderr).text("→", "->")
    lines = [f"agent: {visible(cause)}"]
    if remedy:
        first, *rest = visible(remedy).splitlines()
        lines += [f"  {arrow} {first}", *(f"    {line}" for line in rest)]
    write(sys.stderr, "\n".join(lines) + "\n")
