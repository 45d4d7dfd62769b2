"""How `agent` says that something is wrong."""

import sys

from wardian.cli.sanitise import visible
from wardian.cli.terminal import terminal, write


def complain(cause: str, remedy: str) -> None:
    """Write the cause and the remedy to stderr, whatever characters it can show."""
    arrow = terminal(sys.stderr).text("→", "->")
    lines = [f"agent: {visible(cause)}"]
    if remedy:
        first, *rest = visible(remedy).splitlines()
        lines += [f"  {arrow} {first}", *(f"    {line}" for line in rest)]
    write(sys.stderr, "\n".join(lines) + "\n")
