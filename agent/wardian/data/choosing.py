"""Which attempts are learnt from: the best of each task, as many of one kind as of another."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any, TypeVar

from wardian.data.duplicates import Seen
from wardian.data.rows import Origin, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What is remembered of a run while all are compared: at most some kilobytes."""

    origin: Origin
    reward: float | None
    status: Status
    has_ids: bool
    tokens: int
    """Of its longest branch"""
    sampled: int
    digest: bytes
    """Of what the model was asked and wrote"""
    prompt: bytes
    """Of the ids or messages before its first reply: who shares them began alike"""
    said: str = ""
    """The beginning of what it was asked and wrote"""
    template_sha256: str = ""
    model_path: str = ""
    """Where its weights lay then"""
    file_sha256: str = ""
    """Of that file, without adapters"""
    is_judged: bool = False
    """The user showed what to think of it, or of a reply of it"""
    fork_of: str = ""
    """The run whose step it restarts"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """None is as many as there are."""

    per_task: int | None = 4
    per_family: int | None = None
    rows: int | None = None
    balanced: bool = False
    """No family has more than the one in the middle"""


ENOUGH = "there are enough rows"
T = TypeVar("T")
Drop = Callable[[str, str], None]
"""Notes that a run was left out, and why"""


def best_of_each(
    attempts: Iterable[Attempt],
    caps: Caps,
    seen: Seen,
    seed: int,
    drop: Drop,
    rank: Callable[[Attempt], Any] | None = None,
) -> list[Attempt]:
    """The best attempts of each task in turn: first every task's best, then every second one.

    `rank` says which are best: without it, those of most merit. So whatever is cut off at the end,
    tasks are represented evenly; their order depends on `seed` alone.
    """
    queues = _by_task(attempts, seed, rank or merit)
    families = Counter[str]()
    tasks = Counter[str]()
    chosen: list[Attempt] = []

    def take(queue: list[Attempt]) -> Attempt | None:
        while queue:
            one = queue.pop()
            reason = _full(one, caps, tasks, families, len(chosen))
            reason = reason or seen.fault_of(one.digest, one.said)
            if not reason:
                return one
            drop(one.origin.run_id, reason)
        return None

    while queues:
        for group in list(queues):
            if (found := take(queues[group])) is None:
                del queues[group]
                continue
            tasks[group] += 1
            families[found.origin.family] += 1
            chosen.append(found)
    return levelled(chosen, family_and_name, caps, drop)


def family_and_name(one: Attempt) -> tuple[str, str]:
    return one.origin.family, one.origin.run_id


def _by_task(
    attempts: Iterable[Attempt], seed: int, rank: Callable[[Attempt], Any]
) -> dict[str, list[Attempt]]:
    """By group, the best last."""
    found: defaultdict[str, list[Attempt]] = defaultdict(list)
    for one in attempts:
        found[one.origin.group].append(one)
    for queue in found.values():
        queue.sort(key=rank)
    return {group: found[group] for group in sorted(found, key=lambda group: place(group, seed))}


def merit(one: Attempt) -> tuple[float, int, str]:
    """What earned more is better, of equals what wrote less."""
    return one.reward or 0.0, -one.sampled, one.origin.run_id


def place(name: str, seed: int) -> bytes:
    """Where something stands in an order that is mixed, and always the same for a seed."""
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def _full(one: Attempt, caps: Caps, tasks: Counter[str], families: Counter[str], rows: int) -> str:
    if caps.per_task is not None and tasks[one.origin.group] >= caps.per_task:
        return "its task has enough better ones"
    if caps.per_family is not None and families[one.origin.family] >= caps.per_family:
        return "its family has enough"
    if caps.rows is not None and rows >= caps.rows:
        return ENOUGH
    return ""


def levelled(
    items: Sequence[T], about: Callable[[T], tuple[str, str]], caps: Caps, drop: Drop
) -> list[T]:
    """The first of each family, as far as its cap and the balance let them.

    `about` gives the family of an item and the name that it is dropped by.
    """
    counts = Counter(about(one)[0] for one in items)
    limits = [median_low(counts.values())] if caps.balanced and counts else []
    limits += [caps.per_family] if caps.per_family is not None else []
    taken = Counter[str]()
    kept: list[T] = []
    for one in items:
        family, name = about(one)
        if limits and taken[family] >= min(limits):
            drop(name, "its family has enough")
            continue
        taken[family] += 1
        kept.append(one)
    return kept
