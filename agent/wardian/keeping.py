"""The states of a run's workspace, kept before and after what may change it."""

import asyncio
from pathlib import Path

from wardian.events import Moment, WorkspaceSaved
from wardian.runs.states import States, last_states, remember
from wardian_sandbox.protecting import Mount
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Sandbox


class Keeping:
    """Keeps the states of a run's workspace, for resuming, forking and undoing."""

    def __init__(self, run_folder: Path, workspace: Path) -> None:
        self._run_folder = run_folder
        self._workspace = workspace
        self._states: States | None = None

    async def look(
        self, step: int, when: Moment, sandbox: Sandbox | None
    ) -> tuple[WorkspaceSaved, ...]:
        """The present state, kept, unless it is the one kept last. Raises: StorageError."""
        return await asyncio.to_thread(self._look, step, when, sandbox)

    def _look(self, step: int, when: Moment, sandbox: Sandbox | None) -> tuple[WorkspaceSaved, ...]:
        place: Path = self._workspace
        mounts: tuple[Mount, ...] = ()
        if isinstance(sandbox, SupervisedSandbox):
            place, mounts = sandbox.truth
        states = self._states or States(self._run_folder)
        count, alike = states.count, None
        if not count and place == self._workspace:
            alike = last_states(self._run_folder.parent, self._workspace)
        state = states.save(place, mounts, alike=alike)
        if not count and place == self._workspace:
            remember(self._run_folder.parent, self._workspace, self._run_folder.name)
        self._states = states
        is_new = states.count > count
        return (WorkspaceSaved(step=step, when=when, state=state),) if is_new else ()
