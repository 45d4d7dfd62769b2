"""Keeping other processes from a run without writing to it."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from wardian.errors import StorageError
from wardian.runs.log import LOG_NAME, open_log, take


@contextmanager
def hold(folder: Path) -> Generator[None]:
    """While it lasts no other process goes on with the run or removes it. Raises: StorageError."""
    try:
        descriptor = open_log(folder / LOG_NAME)
    except OSError as error:
        raise StorageError(
            f"{folder / LOG_NAME} cannot be read: {error.strerror or error}.",
            "See `agent runs list`.",
        ) from error
    try:
        take(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Does a process hold the run? Raises: OSError."""
    descriptor = open_log(folder / LOG_NAME)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
