"""Whether a worker is alone between two cells, told from three descriptors that are kept."""

from __future__ import annotations

import os

CHILDREN_BYTES = 4096
ALONE = 3
"""Links of a process's folder of threads: itself, its parent, one thread."""


class Company:
    """Of a worker, and of this process: asked after each cell, so that it has to be quick."""

    def __init__(self, worker: int) -> None:
        """Of what /proc does not tell nothing is known, and there may be somebody."""
        self._worker = worker
        self._kept: list[int] = []
        me = os.getpid()
        names = (f"{me}/task/{me}/children", f"{worker}/task/{worker}/children", f"{worker}/task")
        try:
            for name in names:
                self._kept.append(os.open(f"/proc/{name}", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            self.close()

    def may_be(self, known: set[int]) -> bool:
        """Might anybody run here besides this process, the worker, and those `known`?

        A thread's children are another list each, so that several threads may have some.
        Source: proc_pid_task(5).
        """
        if not self._kept:
            return True
        ours, theirs, threads = self._kept
        try:
            mine = set(map(int, os.pread(ours, CHILDREN_BYTES, 0).split()))
            below = os.pread(theirs, CHILDREN_BYTES, 0)
            return (
                bool(below)
                or not mine <= {self._worker, *known}
                or os.fstat(threads).st_nlink > ALONE
            )
        except (OSError, ValueError):  # the worker is gone; a list that was cut in a number
            return True

    def close(self) -> None:
        """Let go of what is kept."""
        while self._kept:
            os.close(self._kept.pop())
