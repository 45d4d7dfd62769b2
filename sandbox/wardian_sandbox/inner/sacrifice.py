"""Who goes first when memory runs out: what the supervisor starts, and not the supervisor.

Its children inherit the score it has while it forks. They could not set their own, since their
files in /proc are root's as long as they are not dumpable.
"""

from __future__ import annotations

import os

SCORE = "/proc/self/oom_score_adj"
FIRST = b"1000"
"""OOM_SCORE_ADJ_MAX"""

_score: list[tuple[int, bytes]] = []
"""A descriptor of this process's own score, and what that is otherwise."""


def prepare() -> None:
    """Before this process ceases to be dumpable; without it, or without /proc, nothing is done."""
    try:
        score = os.open(SCORE, os.O_RDWR | os.O_CLOEXEC)
        _score.append((score, os.read(score, 16)))
    except OSError:
        pass


def offer() -> None:
    """From now on this process, and whatever it forks, goes first."""
    for score, _ in _score:
        os.pwrite(score, FIRST, 0)


def withdraw() -> None:
    """From now on it does not, but what it forked does."""
    for score, otherwise in _score:
        os.pwrite(score, otherwise, 0)
