"""Texts of stored runs: tasks, replies, reasoning, calls, results, answers, searched in order."""

import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from wardian.errors import StorageError
from wardian.events import CallFinished, ModelReplied, Noted, Recorded, RunFinished, RunStarted
from wardian.runs import RunStore, Trajectory
from wardian.runs.log import BLOBS_NAME, PSEUDONYMS_NAME
from wardian.runs.texts import plain_arguments
from wardian.runs.words import around

PLAIN = re.compile(r"[ !#-\[\]-~]+")
"""Characters that JSON leaves as they are"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A text that has what was looked for."""

    run_id: str
    step: int
    """0 for the task and the answer"""
    where: str
    """task, context, reply, reasoning, a tool's name with `call` or `result`, note, answer"""
    excerpt: str
    """The first place, with some of what is around it; as recorded, so not yet safe to print"""


def find(
    store: RunStore,
    text: str,
    read: Callable[[Trajectory], Trajectory],
    skipped: Callable[[str], object] = lambda _: None,
    among: Container[str] | None = None,
) -> Iterator[Found]:
    """Every text that has `text` in any case, newest run first. `read` makes a run fit to be seen;
    `skipped` is told why a run could not be read."""
    pattern = re.compile(re.escape(text), re.IGNORECASE)
    certain = max(PLAIN.findall(text), key=len, default="").lower().encode()
    for run_id in store.ids():
        if among is not None and run_id not in among:
            continue
        try:
            if may_hold(store.root / run_id, certain):
                yield from found_in(read(store.load(run_id)), pattern)
        except StorageError as error:
            skipped(f"{run_id}: {error}")


def may_hold(folder: Path, certain: bytes) -> bool:
    """False where no file of the run has these bytes: it need not be read line by line."""
    if (folder / PSEUDONYMS_NAME).exists():
        return True
    files = (*folder.glob("*.jsonl"), *(folder / BLOBS_NAME).glob("*"))
    try:
        return any(certain in file.read_bytes().lower() for file in files)
    except OSError:
        return True  # whoever reads it whole says what is wrong


def found_in(run: Trajectory, pattern: re.Pattern[str]) -> Iterator[Found]:
    for event in run.events:
        for step, where, text in texts(event):
            if match := pattern.search(text):
                excerpt = around(text, *match.span())
                yield Found(run_id=run.run_id, step=step, where=where, excerpt=excerpt)


def texts(event: Recorded) -> Iterator[tuple[int, str, str]]:
    """What of an event is searched: step, what it is, the text."""
    match event:
        case RunStarted(task=task):
            yield 0, "task", task.prompt
            yield 0, "context", task.context
        case ModelReplied(step=step, reply=reply):
            yield step, "reply", reply.message.content
            yield step, "reasoning", reply.message.reasoning
            for call in reply.message.calls:
                yield (
                    step,
                    f"{call.name} call",
                    plain_arguments(call.arguments, call.arguments_text),
                )
        case CallFinished(step=step, result=result):
            yield step, f"{result.name} result", result.content
        case Noted(step=step, text=text):
            yield step, "note", text
        case RunFinished(answer=answer):
            yield 0, "answer", answer
        case _:
            pass
