"""From the arguments to a command, and from what it raises to an exit code. The only such place.

A command returns an exit code (None is 0). What it raises becomes one sentence of cause and one of
remedy on stderr; with `run --json` also the stream's last line, so that a program reading it always
finds a `result`.
"""

import errno
import sys
import traceback
from difflib import get_close_matches

import typer
from typer.core import TyperGroup

from wardian.cli.application import application
from wardian.cli.commands import COMMANDS
from wardian.cli.complaint import complain
from wardian.cli.json_lines import error_fields, result_line
from wardian.cli.outcome import Outcome, RunBroke
from wardian.cli.terminal import write
from wardian.errors import ExitCode, WardianError
from wardian_policies.errors import PolicyError
from wardian_sandbox.errors import InvalidRequest, SandboxError
from wardian_tools.errors import ToolError

Failure = tuple[int, str, str]
"""exit code, cause, remedy"""


def dispatch(argv: list[str]) -> int:
    """Run one command and say how it went."""
    options_end = argv.index("--") if "--" in argv else len(argv)
    options, rest = argv[:options_end], argv[options_end:]
    debug = "--debug" in options
    argv = [option for option in options if option != "--debug"] + rest
    try:
        return run_command(argv)
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except Exception as error:  # noqa: BLE001 - the outermost boundary: each becomes an exit code
        if debug:
            traceback.print_exc()
        return report(error, argv)


def report(error: Exception, argv: list[str]) -> int:
    """Say what went wrong, as JSON too where that was asked for; gives the exit code."""
    outcome = Outcome()
    if isinstance(error, RunBroke):
        outcome, error = error.outcome, cause_of(error)
    if isinstance(error, BrokenPipeError):  # who read the events left
        raise error
    code, cause, remedy = understood(error, argv)
    if is_json_run(argv):
        fields = error_fields(type(error).__name__, cause, remedy)
        write(sys.stdout, result_line(outcome, fields, code) + "\n")
    complain(cause, remedy)
    return code


def cause_of(error: RunBroke) -> Exception:
    assert isinstance(error.__cause__, Exception)
    return error.__cause__


def run_command(argv: list[str]) -> int:
    if argv and argv[0] not in COMMANDS and not argv[0].startswith("-"):
        return unknown_command(argv[0])
    result: object = application(argv)(args=argv, prog_name="agent", standalone_mode=False)
    # `return typer.Exit(n)` is a mistake easily made, and typer itself would exit with 0.
    if isinstance(result, typer.Exit):
        return result.exit_code
    return result if isinstance(result, int) else ExitCode.DONE


def unknown_command(name: str) -> int:
    near = get_close_matches(name, COMMANDS, n=1)
    complain(
        f"There is no command “{name}”.",
        f"Did you mean `agent {near[0]}`?" if near else "`agent --help` lists the commands.",
    )
    return ExitCode.USAGE


def is_json_run(argv: list[str]) -> bool:
    end = argv.index("--") if "--" in argv else len(argv)
    return argv[:1] in (["run"], ["resume"]) and "--json" in argv[:end]


def understood(error: Exception, argv: list[str]) -> Failure:
    """What an exception means to the person at the terminal."""
    match error:
        case WardianError():
            return error.exit_code, error.cause, error.remedy
        case PolicyError():
            return ExitCode.CONFIGURATION, error.cause, error.remedy
        case InvalidRequest():
            return ExitCode.USAGE, error.cause, error.remedy
        case SandboxError():
            return ExitCode.SANDBOX, error.cause, error.remedy or "Run `agent doctor`."
        case ToolError():
            return ExitCode.CONFIGURATION, str(error), "`agent tools list` shows the tools."
        case typer.TyperException():
            remedy = f"`{command_of(argv)} --help` shows the usage."
            return ExitCode.USAGE, error.format_message(), remedy
        case typer.Abort() if isinstance(error.__cause__, Exception):
            # typer's form of any EOFError; nothing here reads input that way, so it is a fault
            return unexpected(error.__cause__)
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return ExitCode.STORAGE, f"Cannot write: {error}.", "Free some space and run it again."
        case MemoryError():
            return ExitCode.MODEL, "The machine has no memory left.", "Choose a smaller model."
        case _:
            return unexpected(error)


def command_of(argv: list[str]) -> str:
    """The words of a command line that name its command."""
    words, command = ["agent"], typer.main.get_command(application(argv))
    for word in argv:
        if not isinstance(command, TyperGroup) or word not in command.commands:
            break
        words.append(word)
        command = command.commands[word]
    return " ".join(words)


def unexpected(error: Exception) -> Failure:
    first = str(error).strip().split("\n", 1)[0][:300]
    what = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return (
        ExitCode.NOT_ACHIEVED,
        f"Something went wrong inside agent ({what}).",
        "Please report it with the output of the same command and `--debug`.",
    )
