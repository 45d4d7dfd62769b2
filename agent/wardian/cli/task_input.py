"""Where the task comes from: the argument, a file, or stdin; and what is piped in beside it.

Stdin is read only when it is a pipe, a socket or a file. Beside a task given as argument or by `-f`
it is context. A pipe that stays open and silent is not waited for beyond `SILENCE_SECONDS`, because
programs often leave one behind; `-` and `--context -` wait until it ends.
"""

import os
import select
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from wardian.cli.terminal import write
from wardian.errors import ConfigurationError, ExitCode
from wardian.types import Image, Task

SILENCE_SECONDS = 2.0
LIMIT_BYTES = 16 << 20


class UsageError(ConfigurationError):
    """The command line itself is at fault."""

    exit_code = ExitCode.USAGE


def read_task(argument: str | None, file: Path | None, context: str | None) -> Task:
    """The task. Raises: UsageError when there is none, or two."""
    if argument is not None and file is not None:
        raise UsageError("A task was given twice.", "Give either the argument or `-f FILE`.")
    if argument == "-" and context == "-":
        raise UsageError("Stdin cannot be both task and context.", "Write the task as argument.")
    if argument == "-":
        prompt = read_stdin(patient=True)
    elif argument is not None:
        prompt = argument
    elif file is not None:
        prompt = read_file(file)
    else:
        prompt = read_stdin(patient=False)
        return Task(prompt=checked(prompt), context=read_context(context))
    if argument == "-" or context is not None:
        return Task(prompt=checked(prompt), context=read_context(context))
    return Task(prompt=checked(prompt), context=read_stdin(patient=False))


def checked(prompt: str) -> str:
    if not prompt.strip():
        raise UsageError(
            "No task was given.", 'Write it as an argument: agent run "How many lines has a.txt?"'
        )
    return prompt.strip()


def read_context(context: str | None) -> str:
    if context is None:
        return ""
    return read_stdin(patient=True) if context == "-" else read_file(Path(context))


def read_stdin(*, patient: bool) -> str:
    """All of stdin if something is piped in. Without `patient`, silence is not waited for."""
    if sys.stdin is None or sys.stdin.closed:
        return ""
    fd = sys.stdin.fileno()
    if os.isatty(fd):
        if not patient:
            return ""
        write(sys.stderr, "Type the task and end it with Ctrl-D.\n")
    elif not patient and is_silent(fd):
        return ""
    with os.fdopen(os.dup(fd), "rb") as stream:
        data = stream.read(LIMIT_BYTES + 1)
    return decoded(data, "stdin")


def is_silent(fd: int) -> bool:
    """True when nothing can be expected from `fd`: no pipe or file, or one that says nothing."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return True
    if stat.S_ISREG(mode):
        return False
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return True
    if select.select([fd], [], [], SILENCE_SECONDS)[0]:
        return False
    write(
        sys.stderr,
        "agent: stdin is open but silent, so it is not read (`--context -` waits for it).\n",
    )
    return True


def read_file(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return decoded(stream.read(LIMIT_BYTES + 1), str(path))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"Cannot read {path}: {reason}.", "Name a readable text file.") from error


def pictures(files: Sequence[Path]) -> tuple[Image, ...]:
    """Raises: UsageError for one that cannot be read; ConfigurationError for what is no picture."""
    from wardian.images import read_images  # who shows none does not wait for it

    try:
        return read_images(files)
    except ConfigurationError as error:
        if isinstance(error.__cause__, OSError):
            raise UsageError(error.cause, error.remedy) from error
        raise


def decoded(data: bytes, source: str) -> str:
    if len(data) > LIMIT_BYTES:
        raise UsageError(
            f"The text from {source} is larger than {LIMIT_BYTES >> 20} MiB.",
            "Put it into a file of the workspace and name the file in the task.",
        )
    return data.decode("utf-8-sig", "replace")
