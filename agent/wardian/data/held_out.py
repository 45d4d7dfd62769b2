"""The dev and test splits of suites, gathered for comparison with runs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, cast

from wardian.data.contamination import WORDS, Asked, EvalTasks, HeldText, Passage, plain
from wardian.evals.loading import built_in_names, load_suite
from wardian.evals.tasks import Split, Suite, Task
from wardian.export.overlap import ngrams, words

COMMON = 3
"""In as many tasks or more, a passage is the family's wording."""
ANSWER_CHARS = 24
"""A shorter answer, such as 42, is right for many tasks."""
EXPECTED = ("expected", "text", "contains", "prints")
"""Keys of a verifier that hold what it wants"""


def eval_tasks(names: Iterable[str]) -> EvalTasks:
    """Of those suites and of all that are built in. Raises: ConfigurationError."""
    others = [name for name in dict.fromkeys(names) if name not in built_in_names()]
    return _of([*_built_in(), *map(load_suite, others)]) if others else _of_built_in()


@cache
def _built_in() -> list[Suite]:
    return [load_suite(name) for name in built_in_names()]


@cache
def _of_built_in() -> EvalTasks:
    return _of(_built_in())


def _of(suites: Sequence[Suite]) -> EvalTasks:
    found = EvalTasks(suites=tuple(f"{s.name} {s.version} {s.digest[:12]}" for s in suites))
    tasks = [(_name(suite, task), task) for suite in suites for task in suite.tasks]
    trained = [task for _, task in tasks if task.split is Split.TRAIN]
    held = [(name, task) for name, task in tasks if task.split is not Split.TRAIN]
    found.ids.update(
        ((suite.name, task.id), _name(suite, task))
        for suite in suites
        for task in suite.tasks
        if task.split is not Split.TRAIN
    )
    known_prompts = {plain(task.prompt) for task in trained}
    known_answers = {answer for task in trained for answer in _answers(task)}
    for name, task in held:
        if (prompt := plain(task.prompt)) not in known_prompts:
            has_files = bool(task.files or task.workspace)
            found.prompts.setdefault(prompt, Asked(task=name, has_files=has_files))
        for answer in _answers(task):
            if answer not in known_answers:
                found.answers.setdefault(answer, name)
    _gather_texts(found, held, trained)
    return found


def _gather_texts(
    found: EvalTasks, held: Iterable[tuple[str, Task]], trained: Iterable[Task]
) -> None:
    """The texts of the held tasks, with the passages that are theirs alone."""
    texts = [(name, _passages(text)) for name, task in held for text in _texts(task)]
    holders: defaultdict[Passage, set[str]] = defaultdict(set)
    for name, passages in texts:
        for passage in passages:
            holders[passage].add(name)
    for task in trained:
        for text in _texts(task):
            for passage in _passages(text):
                holders.pop(passage, None)
    for name, passages in texts:
        own = [one for one in passages if len(holders.get(one, ())) in range(1, COMMON)]
        if own:
            for passage in own:
                found.passages.setdefault(passage, []).append(len(found.texts))
            found.texts.append(HeldText(name, len(own)))


def _name(suite: Suite, task: Task) -> str:
    return f"{suite.name}: {task.id} ({task.split})"


def _texts(task: Task) -> Iterator[str]:
    yield task.prompt
    yield from task.files.values()
    yield from task.hidden.values()


def _passages(text: str) -> set[Passage]:
    return set(ngrams(words(text), WORDS))


def _answers(task: Task) -> Iterator[str]:
    """Those that are long, and do not stand in what the solver is given."""
    given = f" {' '.join(plain(text) for text in (task.prompt, *task.files.values()))} "
    for table in task.verifier:
        for text in _expected(table):
            answer = plain(text)
            if len(answer) >= ANSWER_CHARS and f" {answer} " not in given:
                yield answer


def _expected(value: object, *, wanted: bool = False) -> Iterator[str]:
    """The texts below keys that say what a verifier wants."""
    if isinstance(value, str) and wanted:
        yield value
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            yield from _expected(item, wanted=wanted or key in EXPECTED)
    elif isinstance(value, list | tuple):
        for item in cast("list[object]", value):
            yield from _expected(item, wanted=wanted)
