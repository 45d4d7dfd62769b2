"""What the terminal can show, and whether a person sits at it."""

import os
import shutil
import sys
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TextIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """What may be written to a stream."""

    is_tty: bool
    """A person may be looking, and cursor movement works."""
    colour: bool
    unicode: bool
    width: int
    """columns"""

    def text(self, fancy: str, ascii_form: str) -> str:
        return fancy if self.unicode else ascii_form


def terminal(stream: TextIO, *, plain: bool = False) -> Terminal:
    """Judge `stream` by its descriptor and by TERM, NO_COLOR and the locale."""
    smart = stream.isatty() and not plain and os.environ.get("TERM", "dumb") not in ("dumb", "")
    return Terminal(
        is_tty=smart,
        colour=smart and not os.environ.get("NO_COLOR"),
        unicode=speaks_utf8(stream),
        width=shutil.get_terminal_size().columns,
    )


def speaks_utf8(stream: TextIO) -> bool:
    """The encoding alone does not tell: Python writes UTF-8 in the C locale too."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LANG") or "utf-8"
    return "utf" in locale.lower() and "utf" in (stream.encoding or "").lower()


def person_fd() -> int | None:
    """The controlling terminal, opened, if a person can be asked there; the caller closes it.

    None without a terminal to show the question on, and for a background job, which the kernel
    would stop at its first read.
    """
    if not sys.stderr.isatty():
        return None
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    try:
        if os.tcgetpgrp(fd) == os.getpgrp():
            return fd
    except OSError:
        pass
    os.close(fd)
    return None


def stdout_is_stderr() -> bool:
    """True when both are the same terminal, so that a text need not be shown on each."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        return False
    out, err = os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno())
    return out.st_rdev == err.st_rdev


def write(stream: TextIO, text: str) -> None:
    """Write `text` now; what the encoding cannot hold is written as an escape."""
    if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")
    stream.write(text)
    stream.flush()
