"""`agent doctor`: what this machine can do, and how to mend what it cannot. Changes nothing.

Looks at: Python, the sandbox (a box is really started), the local engine and the built-in model,
settings, keys (by name and source, never the value), where runs are kept, free disk, Docker.
Asks no server but those that listen on this machine.
"""

import asyncio
import sys
from typing import Annotated

import typer

from wardian.cli import checks
from wardian.cli.checks import Check, State
from wardian.cli.listing import print_json
from wardian.cli.sanitise import visible
from wardian.cli.terminal import Terminal, terminal, write
from wardian.errors import ExitCode

WORDS = {State.OK: "ok", State.INFO: "--", State.WARN: "warn", State.FAIL: "FAIL"}
COLOURS = {State.OK: "32", State.INFO: "2", State.WARN: "33", State.FAIL: "31;1"}


def register(app: typer.Typer) -> None:
    app.command("doctor", epilog="Example: agent doctor")(doctor)


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> int:
    """Check what this machine can do. Ends with 0 when `agent run` can work here.

    Otherwise with the code `agent run` would end with: 7 sandbox, 3 settings, 4 model, 8 storage.
    """
    return report(asyncio.run(checks.all_checks()), as_json=as_json)


def report(found: list[Check], *, as_json: bool) -> int:
    """Show what was found, and give the exit code it means."""
    code = exit_code(found)
    if as_json:
        print_json({"v": 1, "exit_code": int(code), "checks": [check.facts() for check in found]})
        return code
    screen = terminal(sys.stdout)
    width = max(len(check.name) for check in found)
    for check in found:
        write(sys.stdout, line(check, width, screen) + "\n")
    failed = [check.name for check in found if check.state is State.FAIL]
    verdict = (
        f"agent run cannot work here yet: {', '.join(failed)}." if failed else "agent is ready."
    )
    write(sys.stdout, f"\n{verdict}\n")
    return code


def exit_code(found: list[Check]) -> ExitCode:
    """The code of the first thing that fails, the sandbox before all else."""
    codes = [check.exit_code for check in found if check.state is State.FAIL]
    return ExitCode.SANDBOX if ExitCode.SANDBOX in codes else next(iter(codes), ExitCode.DONE)


def line(check: Check, width: int, screen: Terminal) -> str:
    word = WORDS[check.state].ljust(4)
    if screen.colour:
        word = f"\x1b[{COLOURS[check.state]}m{word}\x1b[0m"
    text = f"{word}  {check.name.ljust(width)}  {visible(check.detail)}"
    if check.remedy:
        text += f"\n{' ' * (width + 8)}{screen.text('→', '->')} {visible(check.remedy)}"
    return text
