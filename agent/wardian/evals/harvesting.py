"""A finished run with a passing check becomes a task: its start, what was asked, and the check.

Covers: the check is content with what the run left and not with what it began with, tried here,
each on a workspace made anew; registered secrets and tokens are taken out of prompt and files.
Does not cover: personal data, which is often what a task is about; a check that passes for the
wrong reason. Look at what is written before you share it.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wardian.errors import ConfigurationError
from wardian.evals.checking import SOLUTION, said_at_once
from wardian.evals.contents import files_below
from wardian.evals.grading import Check, is_like, protected_state, verifier_for
from wardian.evals.tasks import Split, Task
from wardian.evals.writing import write_task
from wardian.events import RunStarted, WorkspaceSaved
from wardian.rewards.types import Attempt, GradingFailed, Reward
from wardian.runs import Trajectory
from wardian.runs.states import States
from wardian.types import Stop
from wardian_policies.redaction.redactor import Redactor

MAX_TEXT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the task is to be."""

    verifier: tuple[Mapping[str, Any], ...]
    family: str = "harvest"
    split: Split = Split.TEST
    id: str = ""
    """Empty makes one of the prompt and the run"""
    hide: tuple[str, ...] = ()
    """Paths or globs that are taken out of the workspace and given to the grader only"""
    protect: tuple[str, ...] = ()
    """Paths or globs that a solver may not change"""
    as_it_is: bool = False
    """Where the run kept no state of its workspace, take the folder as it is now"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvested:
    """The task that came of it."""

    task: Task
    path: Path
    redacted: tuple[str, ...]
    """Where something was taken out: `prompt`, or a path"""
    notices: tuple[str, ...] = field(default=())


async def harvest(
    trajectory: Trajectory, wanted: Wanted, folder: Path, redactor: Redactor
) -> Harvested:
    """Write the task into a folder of its id below `folder`.

    Raises: ConfigurationError where the run, or what its check says of its end and its start, is
    not fit for a task; GradingFailed where the check could not be made; StorageError.
    """
    started = finished_well(trajectory)
    with tempfile.TemporaryDirectory(prefix="wardian-harvesting-") as temporary:
        start, end = Path(temporary, "start"), Path(temporary, "end")
        notices = lay_both(trajectory, started, start, end, as_it_is=wanted.as_it_is)
        redacted = redact(start, redactor)
        redact(end, redactor)
        hidden = take_out(start, end, wanted.hide)
        prompt = "\n\n".join(filter(None, (started.task.prompt, started.task.context)))
        safe = redactor.text(prompt)
        task = Task(
            id=wanted.id or id_of(wanted.family, safe, trajectory.run_id),
            family=wanted.family,
            prompt=safe,
            split=wanted.split,
            workspace=start,
            system=redactor.text(str(started.settings.get("instructions", ""))),
            verifier=redactor.value(wanted.verifier),
            hidden=hidden,
            protected=wanted.protect,
            meta=redactor.value({"run": trajectory.run_id, SOLUTION: solution_of(trajectory)}),
            source=f"run {trajectory.run_id}",
        )
        notices += tuple(open_files(task, start, end))
        await check_both(task, trajectory, start, end)
        path = write_task(task, folder / task.id)
    found = (*(["prompt"] if safe != prompt else []), *redacted)
    return Harvested(task=task, path=path, redacted=found, notices=notices)


def finished_well(trajectory: Trajectory) -> RunStarted:
    """Its first event. Raises: ConfigurationError for a run that came to no answer."""
    started, finished = trajectory.started, trajectory.finished
    if started is None:
        raise ConfigurationError(
            f"Run {trajectory.run_id} does not say what was asked.", "Harvest another one."
        )
    if finished is None or finished.stop is not Stop.DONE:
        how = finished.stop if finished else "it never ended"
        raise ConfigurationError(
            f"Run {trajectory.run_id} came to no answer ({how}): there is nothing to check.",
            "Harvest a run that is done.",
        )
    if started.earlier or started.task.images:
        what = "went on from a conversation" if started.earlier else "was asked about pictures"
        raise ConfigurationError(
            f"Run {trajectory.run_id} {what}, which a task cannot hold.", "Harvest another one."
        )
    return started


def lay_both(
    trajectory: Trajectory, started: RunStarted, start: Path, end: Path, *, as_it_is: bool
) -> tuple[str, ...]:
    """Make two empty folders what the run began with and what it left; gives notices.

    Raises: ConfigurationError where that is not known; StorageError.
    """
    numbers = [event.state for event in trajectory.events if isinstance(event, WorkspaceSaved)]
    start.mkdir()
    end.mkdir()
    if not numbers:
        return _lay_present(started, start, end, as_it_is=as_it_is)
    states = States(trajectory.path.parent)
    for number, folder in ((numbers[0], start), (numbers[-1], end)):
        if lost := states.lay(states.state(number), folder):
            raise ConfigurationError(
                f"Run {trajectory.run_id} did not keep all of its workspace: {_some(lost)} cannot"
                " be had any more.",
                "Harvest a run of a smaller workspace.",
            )
    return ()


def _lay_present(started: RunStarted, start: Path, end: Path, *, as_it_is: bool) -> tuple[str, ...]:
    workspace = Path(started.workspace)
    if not as_it_is or not workspace.is_dir():
        raise ConfigurationError(
            "The run called nothing that could change files, so it kept no state of its workspace.",
            "--as-it-is takes the folder as it is now.",
        )
    for folder in (start, end):
        shutil.copytree(workspace, folder, symlinks=True, dirs_exist_ok=True)
    return (f"The workspace {workspace} was taken as it is now.",)


def redact(folder: Path, redactor: Redactor) -> list[str]:
    """Take secrets out of every text file; gives the paths of those that had any.

    Raises: ConfigurationError for a registered secret in a file that is no text.
    """
    changed: list[str] = []
    known = [value.encode() for value in redactor.known.values.values()]
    for path in list(files_below(folder)):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            continue
        content = path.read_bytes()
        try:
            if len(content) > MAX_TEXT_BYTES:
                raise UnicodeError
            text = content.decode("utf-8")
        except UnicodeError:
            if any(value in content for value in known):
                raise ConfigurationError(
                    f"{name} is no text and holds a registered secret.", "Take it out first."
                ) from None
            continue
        if (safe := redactor.text(text)) != text:
            path.chmod(path.stat().st_mode | 0o600)
            path.write_text(safe, encoding="utf-8", newline="")
            changed.append(name)
    return changed


def take_out(start: Path, end: Path, patterns: Sequence[str]) -> dict[str, str]:
    """Move what is to be hidden out of both; its text as the run left it.

    Raises: ConfigurationError where nothing is like a pattern, or it is no text.
    """
    hidden: dict[str, str] = {}
    for pattern in patterns:
        found = [name for name in names_below(end) if is_like(name, pattern)]
        if not found:
            raise ConfigurationError(
                f"Nothing that the run left is like {pattern!r:.200}.", "Mend --hide."
            )
        for name in found:
            try:
                hidden[name] = (end / name).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                raise ConfigurationError(
                    f"{name} is no text, so it cannot be hidden.", "Mend --hide."
                ) from None
    for name in hidden:
        (end / name).unlink()
        (start / name).unlink(missing_ok=True)
    return hidden


def open_files(task: Task, start: Path, end: Path) -> Iterator[str]:
    """A sentence for each file that a check's command names, that the run left alone, and that a
    solver could change."""
    words = {word for table in task.verifier for word in str(table.get("command", "")).split()}
    for name in sorted(words.intersection(names_below(start)).intersection(names_below(end))):
        is_same = (start / name).read_bytes() == (end / name).read_bytes()
        if is_same and not any(is_like(name, pattern) for pattern in task.protected):
            yield f"The check runs {name}, which a solver may change: --protect or --hide it."


def names_below(folder: Path) -> Iterator[str]:
    return (
        path.relative_to(folder).as_posix()
        for path in list(files_below(folder))
        if not path.is_symlink()
    )


async def check_both(task: Task, trajectory: Trajectory, start: Path, end: Path) -> None:
    """That the check tells the run's end from its start.

    Raises: ConfigurationError where it does not; GradingFailed.
    """
    began_with = protected_state(task, start)
    reward = await _graded(task, Attempt.of(trajectory, end), began_with)
    if not reward.passed:
        raise ConfigurationError(
            f"The check does not pass on what the run left: {reward.detail!s:.300}",
            "Harvest a run that did it, or mend the check.",
        )
    blind = said_at_once(task, "", end)
    with tempfile.TemporaryDirectory(prefix="wardian-harvesting-") as temporary:
        copied = Path(temporary) / "start"
        shutil.copytree(start, copied, symlinks=True)
        reward = await _graded(task, replace(blind, workspace=copied), began_with)
    if reward.passed:
        raise ConfigurationError(
            "The check passes already on what the run began with, so it would not tell whether the"
            " task was done.",
            "Give a check of what the run changed, or of its answer.",
        )


async def _graded(task: Task, attempt: Attempt, began_with: Mapping[str, str]) -> Reward:
    try:
        return await Check(task=task, verifier=verifier_for(task)).grade(attempt, began_with)
    except GradingFailed as problem:
        raise ConfigurationError(f"The check broke: {problem.cause}", problem.remedy) from problem


def solution_of(trajectory: Trajectory) -> dict[str, Any]:
    """What the run called, as a reference solution; the calls that no tool could read left out."""
    finished = trajectory.finished
    calls = [call for message in trajectory.messages for call in message.calls]
    return {
        "calls": [
            {"tool": call.name, "arguments": call.arguments}
            for call in calls
            if call.arguments is not None
        ],
        "answer": finished.answer if finished else "",
    }


def id_of(family: str, prompt: str, run_id: str) -> str:
    """Words of the prompt, and the run's last letters."""
    words = re.findall(r"[a-z0-9]+", prompt.lower())[:5]
    return f"{family}/{'-'.join(words)[:60] or 'task'}-{run_id[-6:].lower()}"


def _some(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:3])
    return f"{shown} and {len(paths) - 3} more" if len(paths) > 3 else shown
