"""What training data must not hold: tasks that models are evaluated on.

A run is contaminated where it attempted a task of a dev or test split, was asked the same, has a
long expected answer in it, or half of a text of such a task: of its prompt, of a file, or of what
only its grader knows. A text is told by its passages of `WORDS` words; one that stands in several
tasks, or in any of a train split, is the wording of their family and counts for none of them.
Covers: everything that was said in a run, results of tools included, whatever case, blanks and
punctuation it has.
Does not cover: a task retold in other words, or in another language; less than half of a text.
Source: for the length and for leaving out what many have, Brown et al., "Language Models are
Few-Shot Learners", arXiv:2005.14165, appendix C; for the half, Lambert et al., "Tülu 3",
arXiv:2411.15124, section 3.2.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from wardian.data.attempts import tagged
from wardian.evals.tasks import Split
from wardian.events import CallFinished, ModelReplied, Noted, RunStarted
from wardian.export.overlap import ngrams, words
from wardian.export.rows import Unfit
from wardian.runs.trajectory import Trajectory

WORDS = 13
SHARE = 0.5
MANY = 40
"""So many passages of a long text are enough: about as many words in a row"""

Passage = tuple[str, ...]


class Contaminated(Unfit):
    """The run gives a task away that models are evaluated on."""

    def __init__(self, reason: str, task: str) -> None:
        super().__init__(reason)
        self.task = task


@dataclass(frozen=True, slots=True)
class HeldText:
    """A text of an eval task."""

    task: str
    """Its name, such as `core: files/rename-003 (test)`"""
    passages: int
    """Those that stand nowhere else"""

    def is_given_away(self, found: int) -> bool:
        return found >= MANY or found >= SHARE * self.passages


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A prompt of an eval task."""

    task: str
    has_files: bool
    """So that the same words with other files ask for something else"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalTasks:
    """The tasks that no training data may come from; `eval_tasks` gathers them."""

    suites: tuple[str, ...] = ()
    """name, version and digest of each, in words"""
    ids: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """(suite, task id) → the task's name"""
    prompts: dict[str, Asked] = field(default_factory=dict[str, Asked])
    """By the words of a prompt"""
    texts: list[HeldText] = field(default_factory=list[HeldText])
    passages: dict[Passage, list[int]] = field(default_factory=dict[Passage, list[int]])
    """→ places in `texts`"""
    answers: dict[str, str] = field(default_factory=dict[str, str])
    """Words of a long expected answer → the task's name"""

    def check(self, run: Trajectory) -> None:
        """Raises: Contaminated where the run must not be trained on."""
        suite, task, split = (tagged(run, name) for name in ("suite", "task", "split"))
        if name := self.ids.get((suite, task)):
            raise Contaminated("it is an attempt at an eval task", name)
        if split in (Split.DEV, Split.TEST):
            name = f"{suite}: {task} ({split})"
            raise Contaminated("it is an attempt at an eval task", name)
        asked = self.prompts.get(plain(run.started.task.prompt)) if run.started else None
        if asked and not (asked.has_files and split == Split.TRAIN):
            raise Contaminated("it was asked the same as an eval task", asked.task)
        self._check_texts(run)

    def _check_texts(self, run: Trajectory) -> None:
        """Raises: Contaminated."""
        found: defaultdict[int, set[Passage]] = defaultdict(set)
        for text in _said(run):
            said = words(text)
            for passage in ngrams(said, WORDS):
                for place in self.passages.get(passage, ()):
                    found[place].add(passage)
            line = f" {' '.join(said)} "
            if name := next((n for a, n in self.answers.items() if f" {a} " in line), ""):
                raise Contaminated("it has the answer of an eval task", name)
        for place, passages in sorted(found.items()):
            if self.texts[place].is_given_away(len(passages)):
                raise Contaminated("it has a text of an eval task", self.texts[place].task)


def plain(text: str) -> str:
    """Its words alone."""
    return " ".join(words(text))


def _said(run: Trajectory) -> Iterator[str]:
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
