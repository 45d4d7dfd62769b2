"""The families of tasks the built-in model is trained on and tested with."""

import random
from collections.abc import Callable, Mapping

from wardian.evals.suites.tiny.problem import Problem
from wardian.evals.suites.tiny.tasks.arithmetic import arithmetic
from wardian.evals.suites.tiny.tasks.beyond import beyond
from wardian.evals.suites.tiny.tasks.counting import counting
from wardian.evals.suites.tiny.tasks.listing import listing
from wardian.evals.suites.tiny.tasks.reading import reading
from wardian.evals.suites.tiny.tasks.running import shell_tasks
from wardian.evals.suites.tiny.tasks.searching import searching
from wardian.evals.suites.tiny.tasks.steps import steps
from wardian.evals.suites.tiny.tasks.strings import repeated, strings
from wardian.evals.suites.tiny.tasks.writing import writing

Maker = Callable[[random.Random], Problem]

FAMILIES: Mapping[str, tuple[Maker, float]] = {
    "arithmetic": (arithmetic, 0.17),
    "strings": (strings, 0.06),
    "reading": (reading, 0.13),
    "searching": (searching, 0.11),
    "counting": (counting, 0.10),
    "listing": (listing, 0.08),
    "writing": (writing, 0.11),
    "steps": (steps, 0.13),
    "running": (shell_tasks, 0.04),
    "beyond": (beyond, 0.07),
}
"""Each family's maker and its share of the training data."""
LATE_SHARES: Mapping[str, float] = {
    "arithmetic": 0.27,
    "strings": 0.06,
    "reading": 0.14,
    "searching": 0.09,
    "counting": 0.08,
    "listing": 0.09,
    "writing": 0.09,
    "steps": 0.06,
    "running": 0.02,
    "beyond": 0.10,
}
"""The shares once the rates fall: more of what a model is still unsure of by then."""


def make_problem(seed: str, repeats: float = 0.0, late: bool = False) -> Problem:
    """The problem of a seed; the same for the same seed, on every machine.

    `repeats` is the share of problems that only ask to repeat a text; `late` takes the families
    in their late shares.
    """
    rng = random.Random(seed)  # noqa: S311 - reproducible data, no secrets
    if rng.random() < repeats:
        return repeated(rng)
    shares = LATE_SHARES if late else {name: share for name, (_, share) in FAMILIES.items()}
    family = rng.choices(list(FAMILIES), [shares[name] for name in FAMILIES])[0]
    return FAMILIES[family][0](rng)


def make_problem_of(family: str, seed: str) -> Problem:
    """A problem of one family."""
    return FAMILIES[family][0](random.Random(seed))  # noqa: S311 - reproducible data, no secrets
