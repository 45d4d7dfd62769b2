"""The built-in suites by name, fresh instances of them, and the solutions of those."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wardian.errors import ConfigurationError
from wardian.evals.contents import texts_of_folder
from wardian.evals.suites.core.generator import CoreGenerator
from wardian.evals.suites.experts import Expert
from wardian.evals.suites.generating import Generator, Instance, instances, suite_of
from wardian.evals.suites.tiny.generator import TinyGenerator
from wardian.evals.tasks import Split, Suite, Task

GENERATORS: dict[str, Generator] = {"core": CoreGenerator(), "tiny": TinyGenerator()}


def built_in_suite(name: str, split: str | None = None) -> Suite:
    """The suite of that name, of one split or of all of them."""
    return suite_of(GENERATORS[name], Split(split) if split in list(Split) else None)


def fresh(
    name: str, *, split: Split, seed: int, count: int, family: str | None = None
) -> list[Instance]:
    """`count` instances of each family, or of one. Raises: ConfigurationError."""
    generator = GENERATORS.get(name)
    if generator is None:
        raise ConfigurationError(
            f"No generator makes tasks of the suite {name!r:.80}.",
            f"There is one for {', '.join(GENERATORS)}.",
        )
    if family is not None and family not in generator.families:
        raise ConfigurationError(
            f"The suite {name} has no family {family!r:.80}.",
            f"It has {', '.join(generator.families)}.",
        )
    chosen = generator.families if family is None else (family,)
    return [made for one in chosen for made in instances(generator, one, split, seed, count)]


def reference_of(task: Task) -> Callable[[], Expert] | None:
    """The solution that comes with a generated task; None for any other, or a changed one."""
    meta: Any = task.meta
    generator = GENERATORS.get(str(meta.get("generator")))
    if generator is None or meta.get("version") != generator.version:
        return None
    family, seed, number = (meta.get(key) for key in ("family", "seed", "number"))
    is_sane = family in generator.families and isinstance(seed, int) and isinstance(number, int)
    if not is_sane:
        return None
    made = generator.make(family, task.split, seed, number)
    return made.expert if _is_same(task, made.task) else None


def _is_same(task: Task, made: Task) -> bool:
    """Also where its files lie in a folder by now. Raises: ConfigurationError."""
    files = {**(texts_of_folder(task.workspace) if task.workspace else {}), **task.files}
    return replace(task, files=files, workspace=None).digest == made.digest
