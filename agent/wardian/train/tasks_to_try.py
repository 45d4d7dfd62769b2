"""Which tasks a model is trained on by attempts, and which it is measured by on the way."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardian.data.rows import Dataset, PromptRow
from wardian.errors import ConfigurationError
from wardian.evals.grading import checks_of
from wardian.evals.loading import built_in_names, load_suite
from wardian.evals.tasks import Split, Suite, Task
from wardian.train.recipe import Recipe
from wardian.train.rollouts import Rollouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    train: tuple[Task, ...]
    dev: tuple[Task, ...]


def load_tasks(recipe: Recipe) -> Tasks:
    """Raises: ConfigurationError for test tasks, for dev tasks that are trained on, and for a task
    that cannot be graded."""
    grpo = recipe.grpo
    for split in (grpo.split, recipe.dev.suite_split):
        _check_split(split)
    if recipe.data:
        train = _of_data(Path(recipe.data))
    else:
        train = load_suite(grpo.suite).only(split=grpo.split, family=grpo.family or None).tasks
    dev = dev_tasks(recipe)
    contents = {_content(task) for task in train}
    if same := next((task for task in dev if _content(task) in contents), None):
        raise ConfigurationError(
            f"The dev task {same.id} is among those to train on: success on it would say nothing.",
            "Divide the suite anew.",
        )
    checks_of(Suite(name="train", version="1", tasks=train))
    return Tasks(train=train, dev=dev)


def dev_tasks(recipe: Recipe) -> tuple[Task, ...]:
    """Those that success is measured on, the same for every recipe with this seed; none where no
    suite is named or it has none. Raises: ConfigurationError."""
    dev = recipe.dev
    _check_split(dev.suite_split)
    suite = dev.suite or recipe.grpo.suite
    if not suite or not dev.tasks:
        return ()
    held = [
        task
        for task in load_suite(suite).tasks
        if task.split == dev.suite_split and recipe.grpo.family in ("", task.family)
    ]
    if dev.suite and not held:
        raise ConfigurationError(
            f"The suite {suite} has no task of the split {dev.suite_split}.",
            "Name another in dev.suite_split.",
        )
    generator = random.Random(recipe.training.seed)  # noqa: S311 - reproducible choice
    chosen = tuple(generator.sample(held, min(dev.tasks, len(held))))
    checks_of(Suite(name="dev", version="1", tasks=chosen))
    return chosen


def success_on(tasks: Sequence[Task], rollouts: Rollouts, done: Callable[[float], None]) -> float:
    """Share of the tasks that the model as `rollouts` has it solves, one attempt at each.

    Raises: as `Rollouts.collect`.
    """
    groups = rollouts.collect(tasks, 1, "dev", done)
    known = [one.outcome.passed for group in groups for one in group if one.reward is not None]
    return sum(known) / len(known) if known else 0.0


def _check_split(split: str) -> None:
    if split == Split.TEST:
        raise ConfigurationError(
            "The split test is for what is reported: it is neither trained on nor chosen by.",
            "Name the splits train and dev.",
        )


def _of_data(path: Path) -> tuple[Task, ...]:
    """The tasks that the rows name. Raises: ConfigurationError where their suite has changed."""
    suites: dict[str, dict[str, Task]] = {}
    found: dict[str, Task] = {}
    dataset = Dataset.open(path)
    dataset.check_unchanged()
    for row in dataset.rows(PromptRow):
        if row.suite not in suites:
            suites[row.suite] = _unchanged(row, path)
        task = suites[row.suite][row.task]
        if task.split == Split.TEST:
            raise ConfigurationError(
                f"{path} has the task {task.id} of the split test.", "Build it anew without it."
            )
        found[f"{row.suite}/{task.id}"] = task
    if not found:
        raise ConfigurationError(f"{path} has no tasks.", "Build it anew with --for grpo.")
    return tuple(found.values())


def _unchanged(row: PromptRow, path: Path) -> dict[str, Task]:
    suite = load_suite(_place(row.suite, path))
    if suite.digest != row.suite_digest:
        raise ConfigurationError(
            f"The suite {row.suite} has changed since {path} was built.", "Build it anew."
        )
    return {task.id: task for task in suite.tasks}


def _place(suite: str, data: Path) -> str:
    """A suite's path as it was named, from here; else from where the data lie."""
    beside = data.absolute().parent / suite
    is_elsewhere = suite not in built_in_names() and not Path(suite).expanduser().exists()
    return str(beside) if is_elsewhere and beside.exists() else suite


def _content(task: Task) -> tuple[Any, ...]:
    return task.prompt, tuple(sorted(task.files.items())), task.workspace
