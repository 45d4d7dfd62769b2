"""The generator of the suite `core`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wardian.evals.suites.core import code, data, files, long, maths, recovery, refusal, search
from wardian.evals.suites.core.kinds import Kind
from wardian.evals.suites.core.world import World
from wardian.evals.suites.drafts import Draft
from wardian.evals.suites.generating import Instance, id_of, meta_of
from wardian.evals.tasks import Split, Task

FAMILIES: Mapping[str, Callable[[Split], Sequence[Kind]]] = {
    "files": lambda _: files.KINDS,
    "data": lambda _: data.KINDS,
    "code": code.kinds,
    "maths": lambda _: maths.KINDS,
    "search": lambda _: search.KINDS,
    "refusal": lambda _: refusal.KINDS,
    "recovery": lambda _: recovery.KINDS,
    "long": lambda _: long.KINDS,
}
TIDY = " Leave no other files behind."
SIZES = {Split.TEST: 8, Split.DEV: 4, Split.TRAIN: 16}


@dataclass(frozen=True, slots=True)
class CoreGenerator:
    """Kinds of a family take turns; people, places and programs are of one split only."""

    name: str = "core"
    version: str = "1"
    families: tuple[str, ...] = tuple(FAMILIES)

    @property
    def sizes(self) -> Mapping[Split, int]:
        return SIZES

    def make(self, family: str, split: Split, seed: int, number: int) -> Instance:
        kinds = FAMILIES[family](split)
        kind, maker = kinds[number % len(kinds)]
        draft = maker(World(f"core/{self.version}/{family}/{split}/{seed}/{number}", split))
        task = Task(
            id=id_of(f"{family}/{kind}", split, seed, number),
            family=family,
            prompt=f"{draft.prompt}{TIDY}" if is_tidy(draft) else draft.prompt,
            split=split,
            files=draft.files,
            verifier=draft.verifier,
            hidden=draft.hidden,
            protected=draft.protected,
            tags=(kind, *draft.tags),
            meta=meta_of(self, family, seed, number),
            source=f"{self.name} {self.version}",
        )
        return Instance(task=task, expert=draft.expert)


def is_tidy(draft: Draft) -> bool:
    """Does its check want nothing there but what is asked for? Then the task has to say so."""
    return any(table.get("only") for table in draft.verifier)
