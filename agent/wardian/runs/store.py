"""The runs of one home, each in a folder of its own: `RUN_ID/trajectory.jsonl`, `RUN_ID/blobs/`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from wardian.budget import Amount
from wardian.errors import RunNotFound, StorageError
from wardian.events import ChildFinished
from wardian.runs.holding import hold
from wardian.runs.log import LOG_NAME, REMOVING, RunLog
from wardian.runs.state import remove_tree
from wardian.runs.summary import RunSummary, summarised
from wardian.runs.trajectory import Trajectory

SEARCH_NAME = ".search.sqlite3"
ID = re.compile(r"[0-9A-Z]{26}")
INDEX_FROM = 200
"""With fewer runs than that, reading them takes less time than SQLite takes to load."""


def forget_texts(root: Path, run_ids: Sequence[str]) -> None:
    """Leave nothing of removed runs in the index of texts, where there is one."""
    if (root / SEARCH_NAME).exists():
        from wardian.runs.search import SearchIndex  # SQLite

        SearchIndex(root).drop(run_ids)


def discard(root: Path, run_id: str, *, unless_touched_since: int | None = None) -> None:
    """Delete a run, whole or not at all to whoever lists runs. Its texts are still to be forgotten.

    `unless_touched_since`: when its log had been written last, in ns.
    Raises: StorageError, also while a process holds it.
    """
    folder, gone = root / run_id, root / f"{REMOVING}{run_id}"
    with hold(folder):
        if unless_touched_since is not None:
            check_untouched(folder, unless_touched_since)
        try:
            folder.rename(gone)
            remove_tree(gone)
        except OSError as error:
            raise StorageError(f"Run {run_id} cannot be removed: {error.strerror}.") from error


def check_untouched(folder: Path, modified_ns: int) -> None:
    """Raises: StorageError where the run's log was written since."""
    if (folder / LOG_NAME).stat().st_mtime_ns != modified_ns:
        raise StorageError(f"Run {folder.name} went on meanwhile.", "Do the same again.")


class RunStore:
    """A folder of runs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, run_id: str) -> RunLog:
        """Raises: StorageError."""
        return RunLog.create(self.root / run_id)

    def ids(self) -> list[str]:
        """Run ids, newest first (they are ULIDs, so names sort by time)."""
        if not self.root.is_dir():
            return []
        found = (p.parent.name for p in self.root.glob(f"*/{LOG_NAME}"))
        return sorted((run_id for run_id in found if not run_id.startswith(".")), reverse=True)

    def list(self) -> Iterator[RunSummary]:
        """Summaries, newest first, of what has begun."""
        ids = self.ids()
        if len(ids) < INDEX_FROM:
            return self._summaries_one_by_one(ids)
        from wardian.runs.index import RunIndex  # SQLite, for who has many

        return RunIndex(self.root).newest()

    def find(self, name: str) -> str:
        """The id that `name` means: an id, an unambiguous beginning or end of one, or `last`.

        Raises: RunNotFound.
        """
        if ID.fullmatch(name) and (self.root / name / LOG_NAME).is_file():
            return name  # of thousands that are read one by one, none looks for all others
        ids = self.ids()
        if name == "last":
            newest = next(self._summaries_one_by_one(ids), None)
            # Of the runs a person asked for: a sub-agent's began after its caller's.
            asked = (one for one in self._summaries_one_by_one(ids) if not one.parent)
            if newest:
                return next(asked, newest).run_id
        if name in ids:
            return name
        wanted = name.upper()
        found = [i for i in ids if wanted and (i.startswith(wanted) or i.endswith(wanted))]
        if len(found) == 1:
            return found[0]
        cause = "is the start or end of several runs" if found else "is no stored run"
        raise RunNotFound(f"{name!r} {cause}.", "See `agent runs list`.")

    def path(self, name: str) -> Path:
        """Where the run's log is. Raises: RunNotFound."""
        return self.root / self.find(name) / LOG_NAME

    def load(self, name: str) -> Trajectory:
        """Raises: RunNotFound, StorageError."""
        return Trajectory.read(self.root / self.find(name))

    def consumed(self, name: str) -> Amount:
        """What counts against the budgets of a run that goes on from this one, with what its
        sub-agents consumed whose end it could not record. Raises: RunNotFound, StorageError."""
        run = self.load(name)
        ended = {event.run_id for event in run.events if isinstance(event, ChildFinished)}
        known = set(self.ids())
        lost = (one.run_id for one in run.children if one.run_id not in ended)
        theirs = (self.consumed(run_id) for run_id in lost if run_id in known)
        return sum((replace(amount, seconds=0.0) for amount in theirs), run.consumed)

    def remove(self, name: str) -> str:
        """Delete the run and give its id. Raises: RunNotFound, StorageError."""
        run_id = self.find(name)
        discard(self.root, run_id)
        forget_texts(self.root, [run_id])
        return run_id

    def _summaries_one_by_one(self, ids: Sequence[str]) -> Iterator[RunSummary]:
        for run_id in ids:
            if summary := summarised(self.root / run_id / LOG_NAME):
                yield summary
