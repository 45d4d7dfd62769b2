"""What an attempt at a task was worth: its check, after a look at what it may not have touched.

Covers: the check is made when the run is over, in a box of its own, with the hidden files laid
over the workspace whatever the run put in their places; a run that changed, removed or added to
what its task protects has tampered and earns 0; one that passes after writing where a hidden file
belongs, or to files that decide how tests run, is named a suspect.
Does not cover: `--sandbox none`, where a run has the user's own rights and may read anything.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import cast

from wardian.errors import ConfigurationError
from wardian.evals.contents import files_below
from wardian.evals.tasks import Suite, Task
from wardian.rewards.combine import AllOf
from wardian.rewards.commands import STEERING, changes_of, lay_over
from wardian.rewards.files import read_within
from wardian.rewards.guard import graded_by
from wardian.rewards.specification import verifier_of
from wardian.rewards.types import Attempt, GradingFailed, Reward, Verifier

TAMPERING = "protected"
"""Source of the reward of a run that tampered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How attempts at one task are graded."""

    task: Task
    verifier: Verifier

    async def grade(self, attempt: Attempt, began_with: Mapping[str, str]) -> Reward:
        """`began_with` is what `protected_state` said of the workspace before the run.

        Changes the workspace, which nobody needs after this. Raises: GradingFailed.
        """
        assert attempt.workspace is not None
        make_readable(attempt.workspace)
        if touched := differences(began_with, protected_state(self.task, attempt.workspace)):
            return Reward(
                value=0.0, source=TAMPERING, version="1", detail={"tampered": touched[:50]}
            )
        suspicions = tuple(suspicions_of(self.task, attempt))
        try:
            for path, text in self.task.hidden.items():
                lay_over(attempt.workspace, path, text)
        except OSError as problem:
            raise GradingFailed(
                f"The hidden files cannot be put into the workspace: {problem.strerror}.",
                "Free some space and grade it again.",
            ) from problem
        reward = await graded_by(self.verifier, attempt)
        if not reward.passed:
            return reward
        return replace(reward, suspicions=tuple(dict.fromkeys((*reward.suspicions, *suspicions))))


def checks_of(suite: Suite) -> dict[str, Check]:
    """By task id. Raises: ConfigurationError naming the task whose check cannot be made."""
    return {task.id: Check(task=task, verifier=verifier_for(task)) for task in suite.tasks}


def verifier_for(task: Task) -> Verifier:
    """Of several verifiers the least reward counts. Raises: ConfigurationError."""
    if not task.verifier:
        raise ConfigurationError(
            f"The task {task.id} has no verifier: nothing could be said of an attempt.",
            'Add one, such as verifier = { kind = "number", expected = 42 }.',
        )
    try:
        made = tuple(verifier_of(table) for table in task.verifier)
    except ConfigurationError as problem:
        raise ConfigurationError(f"The task {task.id}: {problem.cause}", problem.remedy) from None
    return made[0] if len(made) == 1 else AllOf(made)


def protected_state(task: Task, workspace: Path) -> dict[str, str]:
    """Path → digest of each file that the task protects; a link's is of where it leads."""
    if not task.protected:
        return {}
    found: dict[str, str] = {}
    for path in files_below(workspace):
        name = path.relative_to(workspace).as_posix()
        if any(is_like(name, pattern) for pattern in task.protected):
            content = read_within(workspace, name)
            if content is None:
                content = b"link " + os.fsencode(path.readlink()) if path.is_symlink() else b"?"
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def is_like(name: str, pattern: str) -> bool:
    """`*` stays within a folder's name, `**` and a folder's own name mean all below."""
    if name == pattern or name.startswith(pattern.rstrip("/") + "/"):
        return True
    if pattern.endswith("/**"):
        return name.startswith(pattern[:-2])
    parts, wanted = PurePosixPath(name).parts, PurePosixPath(pattern).parts
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Paths that are not the same in both, in order."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def suspicions_of(task: Task, attempt: Attempt) -> Iterator[str]:
    changed = {str(change.get("path", "")) for change in changes_of(attempt)}
    for path in sorted(changed & task.hidden.keys()):
        yield f"The run wrote {path}, where a hidden file belongs."
    if task.hidden:
        for path in sorted(changed - task.hidden.keys()):
            if PurePosixPath(path).name in STEERING:
                yield f"The run changed {path}, which can change what a check does."


def make_readable(folder: Path) -> None:
    """Give the owner back what a run took away: a file nobody can read would break the grader."""
    for at, folders, names in os.walk(folder):
        with suppress(OSError):
            Path(at).chmod(Path(at).stat().st_mode | 0o700)
        for name in (*folders, *names):
            path = Path(at) / name
            with suppress(OSError):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o700 if path.is_dir() else 0o600))


def _told(said: object) -> str:
    if not isinstance(said, Mapping):
        return str(said)
    return "; ".join(f"{k}: {v}" for k, v in cast("Mapping[object, object]", said).items())


def fault_of(reward: Reward) -> str:
    """Why it did not pass, as far as its verifier says it, in a line."""
    if tampered := reward.detail.get("tampered"):
        return f"It changed {', '.join(map(str, tampered[:3]))}, which is protected."
    for key in ("problem", "wrong", "why", "fault"):
        if said := reward.detail.get(key):
            return f"{_told(said):.300}"
    parts: Sequence[Mapping[str, object]] = reward.detail.get("parts", ())
    failed = [str(part.get("source")) for part in parts if float(str(part.get("value"))) < 1]
    if failed:
        return f"not passed: {', '.join(failed)}"
    return str(reward.detail)[:300] if reward.detail else ""
