"""Ending what left its session and its parent to outlive the call that started it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from wardian_sandbox.inner import children

SWEEP_SECONDS = 0.5
MAX_GENERATIONS = 3
LAST_SECONDS = 3.0
"""For everybody to be gone, on a processor that they were all after."""
SWEEP_PAUSE_SECONDS = 0.001


def sweep(
    known: Callable[[], set[int]],
    reap: Callable[[], None],
    alone: Callable[[], int | None] = lambda: None,
) -> int:
    """Kill every orphan outside the sessions that are `known`, and see it gone; and those of
    `known` whom the guest killed. Of `alone` only the process itself stays. Gives how many went.

    Where more of them come than go, everybody in the box is killed at one blow, which no fork gets
    away from; one by one, a bomb that has the processor to itself breeds faster than we kill.
    """
    killed: set[int] = set()
    generations = 0
    is_last = os.getpid() != 1
    until = time.monotonic() + SWEEP_SECONDS
    while found := set(children.strays(known(), alone())):
        now = time.monotonic()
        generations += not found <= killed
        if not is_last and (now >= until or generations > MAX_GENERATIONS):
            os.kill(-1, signal.SIGKILL)
            is_last, until = True, now + LAST_SECONDS
        elif now >= until:
            return len(killed)
        for pid in found - killed:
            children.kill(pid)
        killed |= found
        time.sleep(SWEEP_PAUSE_SECONDS)
        reap()
    until = time.monotonic() + LAST_SECONDS
    # One that was killed and has not come to dying would still take up the next cell.
    while any(map(children.is_dying, _staying(known(), alone()))) and time.monotonic() < until:
        time.sleep(SWEEP_PAUSE_SECONDS)
        reap()
    return len(killed)


def _staying(known: set[int], alone: int | None) -> set[int]:
    return known if alone is None else {*known, alone}
