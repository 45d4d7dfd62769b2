"""Taking back what steps of a run did to files.

Each step is taken back by itself, the last one first, so that what the user changed between two of
them stays. A file that is not as the step left it was changed since: it is named and left alone.
Nothing is lost: what is taken back is still in the run's states. What a call that was cut off did
is not known: paths that are not as the step before it left them are named and left alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from wardian.errors import ConfigurationError
from wardian.events import ChangesUndone, Moment, RunStarted, WorkspaceSaved
from wardian.runs.log import RunLog
from wardian.runs.state import Kept, State, present
from wardian.runs.states import States
from wardian.runs.store import RunStore
from wardian.runs.trajectory import Trajectory
from wardian_policies.errors import PolicyError
from wardian_policies.stored import stored_policy
from wardian_sandbox.protecting import clear_left


@dataclass(frozen=True, slots=True, kw_only=True)
class StepChange:
    """What a step, or one of its calls, did to files: the workspace's states around it."""

    step: int
    before: State
    after: State

    def paths(self) -> Iterator[str]:
        """Those that differ."""
        for path in sorted({*self.before, *self.after}):
            before, after = self.before.get(path), self.after.get(path)
            if not (before.is_same(after) if before else after is None):
                yield path


def undo(store: RunStore, run: str, *, last_step_only: bool = False) -> ChangesUndone:
    """Take back what the run did to files, or its last step that did; gives what became of it.

    Raises: RunNotFound; StorageError, also while a process holds the run; ConfigurationError where
    there is nothing to take back.
    """
    run_id = store.find(run)
    log = RunLog.reopen(store.root / run_id)  # held, so that nothing goes on meanwhile
    try:
        trajectory = store.load(run_id)
        changes = changes_to_undo(trajectory)
        if last_step_only:
            changes = [change for change in changes if change.step == changes[-1].step]
        started = trajectory.started
        if started is not None and is_private(started):
            raise ConfigurationError(
                f"Run {run_id} worked in a copy: your folder is as it was.",
                "There is nothing to take back.",
            )
        if started is not None:
            remove_placeholders(started)
        unknown = unknown_changes(trajectory, changes)
        if not changes or started is None:
            cut = f" A call that was cut off may have changed {', '.join(unknown)}."
            raise ConfigurationError(
                f"Run {run_id} changed no file that could be put back, or it was taken back"
                f" already.{cut if unknown else ''}",
                "`agent runs show` tells what it did.",
            )
        event = take_back(States(store.root / run_id), changes, Path(started.workspace))
        event = replace(event, conflicts=tuple(sorted({*event.conflicts, *unknown})))
        log.note(event)
    finally:
        log.close()
    return event


def changes_to_undo(trajectory: Trajectory) -> list[StepChange]:
    """What its steps did to the user's folder and was not taken back yet, in their order."""
    started = trajectory.started
    if started is None or is_private(started):
        return []
    states = States(trajectory.path.parent)
    undone = {
        step
        for event in trajectory.events
        if isinstance(event, ChangesUndone)
        for step in event.steps
    }
    changes: list[StepChange] = []
    latest: WorkspaceSaved | None = None
    for event in trajectory.events:
        if not isinstance(event, WorkspaceSaved):
            continue
        if latest and event.when is Moment.AFTER and event.step not in undone:
            changes.append(
                StepChange(
                    step=event.step,
                    before=states.state(latest.state),
                    after=states.state(event.state),
                )
            )
        latest = event
    return [change for change in changes if any(change.paths())]


def unknown_changes(trajectory: Trajectory, changes: Sequence[StepChange]) -> list[str]:
    """What is not as the last step left it while a call was cut off that may have done it."""
    started = trajectory.started
    saved = [event for event in trajectory.events if isinstance(event, WorkspaceSaved)]
    is_cut_off = any(not call.repeatable for call in trajectory.uncertain)
    if started is None or not saved or not is_cut_off or not Path(started.workspace).is_dir():
        return []
    states = States(trajectory.path.parent)
    known = {path for change in changes for path in change.paths()}
    for event in trajectory.events:
        if isinstance(event, ChangesUndone):
            known.update(event.paths)
    differing = states.unlike(states.state(saved[-1].state), Path(started.workspace))
    return [path for path in differing if path not in known]


def remove_placeholders(started: RunStarted) -> None:
    """What a killed box left for its mounts."""
    with suppress(PolicyError):
        protected = stored_policy(started.policy).confinement.protected
        clear_left(Path(started.workspace), protected)


def is_private(started: RunStarted) -> bool:
    """Did it work in a copy, and leave the user's folder as it was?"""
    return started.settings.get("workspace_mode") == "copy" or "place" in started.settings


def take_back(states: States, changes: Sequence[StepChange], workspace: Path) -> ChangesUndone:
    """Put back what the steps changed, where nobody changed it since. Raises: StorageError."""
    if not workspace.is_dir():
        raise ConfigurationError(
            f"The workspace {workspace} is not there any more.", "Put it back, then do it again."
        )
    paths = {path for change in changes for path in change.paths()}
    now = present(workspace, paths)
    wanted = dict(now)
    conflicts: set[str] = set()
    for change in reversed(changes):
        for path in change.paths():
            before, after = change.before.get(path), change.after.get(path)
            if path in conflicts:
                continue
            if _same(wanted[path], after):
                wanted[path] = before
            elif not _same(wanted[path], before):
                conflicts.add(path)
    back = {path: kept for path, kept in wanted.items() if not _same(kept, now[path])}
    lost = states.put_back(back, workspace)
    return ChangesUndone(
        step=changes[-1].step,
        steps=tuple(sorted({change.step for change in changes})),
        paths=tuple(sorted(back.keys() - set(lost))),
        conflicts=tuple(sorted({*conflicts, *lost})),
    )


def _same(one: Kept | None, other: Kept | None) -> bool:
    return one.is_same(other) if one else other is None
