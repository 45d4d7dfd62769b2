"""Generators of tasks: a name, families, and an instance for each seed, split and number."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from wardian.evals.suites.experts import Expert
from wardian.evals.tasks import Split, Suite, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A task, and how it can be solved."""

    task: Task
    expert: Callable[[], Expert]


class Generator(Protocol):
    """Makes the tasks of a suite. The same arguments give the same instance on every machine."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Changes with whatever changes an instance."""
        ...

    @property
    def families(self) -> tuple[str, ...]: ...

    @property
    def sizes(self) -> Mapping[Split, int]:
        """How many of each family the suite itself has, by split: those of seed 0."""
        ...

    def make(self, family: str, split: Split, seed: int, number: int) -> Instance:
        """What is of one split is of no other, whatever the seed."""
        ...


def instances(
    generator: Generator, family: str, split: Split, seed: int, count: int
) -> Iterator[Instance]:
    """The first `count` that ask for different things."""
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    number = 0
    while len(seen) < count:
        made = generator.make(family, split, seed, number)
        number += 1
        asked = (made.task.prompt, tuple(sorted(made.task.files.items())))
        if asked not in seen:
            seen.add(asked)
            yield made


def suite_of(generator: Generator, split: Split | None = None) -> Suite:
    """The generator's own suite, of one split or of all."""
    splits = [split] if split else list(Split)
    tasks = (
        made.task
        for one in splits
        for family in generator.families
        for made in instances(generator, family, one, 0, generator.sizes[one])
    )
    return Suite(name=generator.name, version=generator.version, tasks=tuple(tasks))


def id_of(stem: str, split: Split, seed: int, number: int) -> str:
    """Unique over splits, seeds and numbers."""
    fresh = f"s{seed}-" if seed else ""
    return f"{stem}-{split}-{fresh}{number:03}"


def meta_of(generator: Generator, family: str, seed: int, number: int) -> dict[str, object]:
    """Enough to make the instance again."""
    return {
        "generator": generator.name,
        "version": generator.version,
        "family": family,
        "seed": seed,
        "number": number,
    }
