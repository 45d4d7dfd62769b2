"""Asks the person at the terminal for a yes or a no, outside a run."""

import os
import sys
import termios

from wardian.cli.sanitise import visible
from wardian.cli.terminal import person_fd, write


def confirmed(question: str) -> bool | None:
    """Whether the answer was a clear yes; None where nobody can be asked.

    What was typed before the question appeared is thrown away.
    """
    fd = person_fd()
    if fd is None:
        return None
    try:
        termios.tcflush(fd, termios.TCIFLUSH)
        write(sys.stderr, f"{visible(question)} [y/N] ")
        return os.read(fd, 4096).decode("utf-8", "replace").strip().lower() in ("y", "yes")
    finally:
        os.close(fd)
