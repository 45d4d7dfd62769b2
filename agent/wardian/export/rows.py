"""What a format gives: rows with the runs they come from, and what it had to leave out."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from wardian.errors import StorageError
from wardian.runs.trajectory import Trajectory

MAX_ABOVE = 16
Row = dict[str, Any]
"""One JSON object of a dataset"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A row and where it comes from."""

    row: Row
    run_ids: tuple[str, ...]
    family: str
    """The same for runs that share messages; a split never parts them."""


class Unfit(Exception):
    """The run cannot be said in the format; the message says why, without its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A run, or one of its replies, that gave no row."""

    run_id: str
    reason: str


Load = Callable[[str], Trajectory]
"""A stored run by its id. Raises: StorageError."""
Format = Callable[[Iterable[Trajectory], Load], Iterator[Sample | LeftOut]]
MakeRows = Callable[[Trajectory], Iterator[Row]]


def each(make_rows: MakeRows) -> Format:
    """A format whose rows come from one run each."""

    def samples(runs: Iterable[Trajectory], load: Load) -> Iterator[Sample | LeftOut]:
        for run in runs:
            try:
                for row in make_rows(run):
                    yield Sample(row=row, run_ids=(run.run_id,), family=family(run, load))
            except Unfit as error:
                yield LeftOut(run_id=run.run_id, reason=str(error))

    return samples


def family(run: Trajectory, load: Load) -> str:
    """A fork belongs to the run it restarts, a sub-agent's run to its caller's, an attempt to its
    group, any other run to itself."""
    root: Trajectory | None = run
    name = run.run_id
    for _ in range(MAX_ABOVE):
        started = root.started if root else None
        link = (started.fork.get("run_id") or started.parent.get("run_id")) if started else None
        if not link:
            return str(started.group.get("id") or name) if started else name
        name = str(link)
        root = _stored(name, load)
    return name


def _stored(run_id: str, load: Load) -> Trajectory | None:
    try:
        return load(run_id)
    except StorageError:
        return None  # removed since, or not to be exported
