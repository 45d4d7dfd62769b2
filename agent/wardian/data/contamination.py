"""What training data must not hold: tasks that models are evaluated on.

A run is contaminated where it attempted a task of a dev or test split, was asked the same, or has
a passage of one in it: any `WORDS` words in a row of its prompt, of its files, or of what only its
grader knows, or a long expected answer. A passage that stands in several tasks, or in one of the
train split, is the wording of their family and gives none of them away.
Covers: everything that was said in a run, results of tools included, whatever case, blanks and
punctuation it has.
Does not cover: a task retold in other words, or in another language.
Source for the length and for leaving out what many have: Brown et al., "Language Models are
Few-Shot Learners", arXiv:2005.14165, appendix C.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from wardian.data.attempts import tagged
from wardian.evals.loading import built_in_names, load_suite
from wardian.evals.tasks import Split, Suite, Task
from wardian.events import CallFinished, ModelReplied, Noted, RunStarted
from wardian.export.overlap import ngrams, words
from wardian.export.rows import Unfit
from wardian.runs.trajectory import Trajectory

WORDS = 13
COMMON = 3
"""In as many tasks or more, a passage is the family's wording."""
ANSWER_CHARS = 24
"""A shorter answer, such as 42, is right for many tasks."""
EXPECTED = ("expected", "text", "contains", "prints")
"""Keys of a verifier that hold what it wants"""


class Contaminated(Unfit):
    """The run gives a task away that models are evaluated on."""

    def __init__(self, reason: str, task: str) -> None:
        super().__init__(reason)
        self.task = task


@dataclass(frozen=True, slots=True)
class EvalTasks:
    """The tasks that no training data may come from."""

    suites: tuple[str, ...] = ()
    """name, version and digest of each, in words"""
    ids: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """(suite, task id) → its name, such as `core: files/rename-003 (test)`"""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """Words of a prompt → the same"""
    passages: dict[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str])
    """`WORDS` words → the same"""
    answers: dict[str, str] = field(default_factory=dict[str, str])
    """Words of a long expected answer → the same"""

    def check(self, run: Trajectory) -> None:
        """Raises: Contaminated where the run must not be trained on."""
        if name := self.ids.get((tagged(run, "suite"), tagged(run, "task"))):
            raise Contaminated("it is an attempt at an eval task", name)
        if (split := tagged(run, "split")) in (Split.DEV, Split.TEST):
            name = f"{tagged(run, 'suite')}: {tagged(run, 'task')} ({split})"
            raise Contaminated("it is an attempt at an eval task", name)
        started = run.started
        if started and (name := self.prompts.get(_plain(started.task.prompt))):
            raise Contaminated("it was asked the same as an eval task", name)
        for text in _texts(run):
            said = words(text)
            if name := self._passage(said):
                raise Contaminated("it has a passage of an eval task", name)
            plain = f" {' '.join(said)} "
            if name := next((n for a, n in self.answers.items() if f" {a} " in plain), ""):
                raise Contaminated("it has the answer of an eval task", name)

    def _passage(self, said: list[str]) -> str:
        if not self.passages:
            return ""
        found = (self.passages.get(passage) for passage in ngrams(said, WORDS))
        return next(filter(None, found), "")


def eval_tasks(names: Iterable[str]) -> EvalTasks:
    """The dev and test splits of those suites and of all that are built in.

    Raises: ConfigurationError.
    """
    suites = [load_suite(name) for name in dict.fromkeys([*built_in_names(), *names])]
    held: dict[tuple[str, ...], list[tuple[str, Task]]] = {}
    found = EvalTasks(suites=tuple(f"{s.name} {s.version} {s.digest[:12]}" for s in suites))
    for suite in suites:
        for task in suite.tasks:
            for passage in _passages(task):
                held.setdefault(passage, []).append((suite.name, task))
            if task.split is Split.TRAIN:
                continue
            name = f"{suite.name}: {task.id} ({task.split})"
            found.ids[suite.name, task.id] = name
            found.prompts.setdefault(_plain(task.prompt), name)
            for answer in _answers(task):
                found.answers.setdefault(answer, name)
    for passage, tasks in held.items():
        suite_name, task = tasks[0]
        if len(tasks) < COMMON and all(one.split is not Split.TRAIN for _, one in tasks):
            found.passages[passage] = f"{suite_name}: {task.id} ({task.split})"
    _forget_what_train_has(found, suites)
    return found


def _forget_what_train_has(found: EvalTasks, suites: Iterable[Suite]) -> None:
    """A prompt that a train task has too says nothing: their files differ. So with answers."""
    for suite in suites:
        for task in suite.tasks:
            if task.split is Split.TRAIN:
                found.prompts.pop(_plain(task.prompt), None)
                for answer in _answers(task):
                    found.answers.pop(answer, None)


def _passages(task: Task) -> set[tuple[str, ...]]:
    texts = [task.prompt, *task.files.values(), *task.hidden.values()]
    return {passage for text in texts for passage in ngrams(words(text), WORDS)}


def _answers(task: Task) -> Iterator[str]:
    for table in task.verifier:
        for text in _expected(table):
            plain = _plain(text)
            if len(plain) >= ANSWER_CHARS:
                yield plain


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


def _texts(run: Trajectory) -> Iterator[str]:
    """What was said in the run, by anybody but the system prompt."""
    for event in run.events:
        match event:
            case RunStarted(task=task, earlier=earlier, prefix=prefix):
                yield task.prompt
                yield task.context
                yield from (message.content for message in (*earlier, *prefix))
            case ModelReplied(reply=reply):
                yield reply.message.reasoning
                yield reply.message.content
                yield from (call.arguments_text for call in reply.message.calls)
            case CallFinished(result=result):
                yield result.content
            case Noted(text=text):
                yield text
            case _:
                pass


def _plain(text: str) -> str:
    return " ".join(words(text))
