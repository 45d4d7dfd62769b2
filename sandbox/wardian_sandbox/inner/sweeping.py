"""Ending what left its session and its parent to outlive the call that started it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from wardian_sandbox.inner import children

SWEEP_SECONDS = 0.5
MAX_GENERATIONS = 3
SWEEP_PAUSE_SECONDS = 0.001


def sweep(known: Callable[[], set[int]], reap: Callable[[], None]) -> None:
    """Kill every orphan outside the sessions that are `known`, and see it gone."""
    killed: set[int] = set()
    generations = 0
    until = time.monotonic() + SWEEP_SECONDS
    while time.monotonic() < until:
        found = set(children.strays(known()))
        if not found:
            return
        generations += not found <= killed
        if generations > MAX_GENERATIONS and os.getpid() == 1:
            os.kill(-1, signal.SIGKILL)  # they breed faster than we kill: everybody goes
        for pid in found - killed:
            children.kill(pid)
        killed |= found
        time.sleep(SWEEP_PAUSE_SECONDS)
        reap()
