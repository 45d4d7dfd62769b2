"""The generator of the suite `tiny`: what the built-in model is for."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from wardian.evals.suites.generating import Instance, id_of, meta_of
from wardian.evals.suites.tiny.tasks import FAMILIES, make_problem_of
from wardian.evals.suites.tiny.verifying import verifier_of
from wardian.evals.tasks import Split, Task

SIZES = {Split.TEST: 20, Split.DEV: 10, Split.TRAIN: 60}
SHARES = ((Split.TEST, 64), (Split.DEV, 96), (Split.TRAIN, 256))
"""The first byte of a prompt's digest below which it is of that split."""


@dataclass(frozen=True, slots=True)
class TinyGenerator:
    """Each request belongs to one split, by its text, so that no seed gives it to another."""

    name: str = "tiny"
    version: str = "1"
    families: tuple[str, ...] = tuple(FAMILIES)

    @property
    def sizes(self) -> Mapping[Split, int]:
        return SIZES

    def make(self, family: str, split: Split, seed: int, number: int) -> Instance:
        attempt = 0
        while True:
            problem = make_problem_of(
                family, f"suite/{self.version}/{family}/{split}/{seed}/{number}/{attempt}"
            )
            if split_of(problem.prompt) is split:
                break
            attempt += 1
        task = Task(
            id=id_of(f"{family}/{family}", split, seed, number),
            family=family,
            prompt=problem.prompt,
            split=split,
            files=problem.files,
            verifier=verifier_of(problem),
            meta=meta_of(self, family, seed, number),
            source=f"{self.name} {self.version}",
        )
        return Instance(task=task, expert=problem.expert)


def split_of(prompt: str) -> Split:
    byte = hashlib.sha256(prompt.casefold().strip(" .?!").encode()).digest()[0]
    return next(split for split, below in SHARES if byte < below)
