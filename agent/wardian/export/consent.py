"""Whether a run may be exported: nobody is made to give their data.

Yes, unless the run began under the setting `consent = "no"`, or was given the label `consent=no`
later; the label stands over the setting, and the last one over those before. What a run refuses its
sub-agents' runs and its forks refuse too, for they hold what it holds.
"""

from collections.abc import Callable

from wardian.errors import StorageError
from wardian.runs.filters import facts_of_run
from wardian.runs.trajectory import Trajectory

NAME, NO = "consent", "no"
"""Of the label and of the setting"""
REFUSED = "it may not be exported"
MAX_ABOVE = 16


class Consent:
    """Asks each run once, and those that it came from."""

    def __init__(self, load: Callable[[str], Trajectory]) -> None:
        self._load = load
        self._known: dict[str, bool] = {}

    def gives(self, run: Trajectory) -> bool:
        return self._gives(run, MAX_ABOVE)

    def load(self, run_id: str) -> Trajectory:
        """A run that may be exported. Raises: StorageError for any other."""
        run = self._load(run_id)
        if not self.gives(run):
            raise StorageError(f"Run {run_id}: {REFUSED}.")
        return run

    def _gives(self, run: Trajectory, depth: int) -> bool:
        if run.run_id not in self._known:
            self._known[run.run_id] = _says_yes(run) and all(
                self._above(run_id, depth - 1) for run_id in _above(run)
            )
        return self._known[run.run_id]

    def _above(self, run_id: str, depth: int) -> bool:
        if run_id in self._known:
            return self._known[run_id]
        if depth == 0:
            return False
        try:
            return self._gives(self._load(run_id), depth)
        except StorageError:
            return True  # removed since; what it said went with it


def _says_yes(run: Trajectory) -> bool:
    began = run.started.settings.get(NAME) if run.started else None
    return facts_of_run(run).labels.get(NAME, began) != NO


def _above(run: Trajectory) -> list[str]:
    started = run.started
    links = (started.parent, started.fork) if started else ()
    return [str(link["run_id"]) for link in links if link.get("run_id")]
