"""A kind of task: its name, and what makes one out of a split's world."""

from collections.abc import Callable

from wardian.evals.suites.core.world import World
from wardian.evals.suites.drafts import Draft

Maker = Callable[[World], Draft]
Kind = tuple[str, Maker]


def named(*makers: Maker) -> tuple[Kind, ...]:
    """Each by the name of its function."""
    return tuple((maker.__name__.replace("_", "-"), maker) for maker in makers)
