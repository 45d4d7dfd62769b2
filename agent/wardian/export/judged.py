"""Rows from what the user showed to like and dislike: see `wardian.runs.preferences`.

The messages that both replies had before them are the prompt, and each side is one reply: TRL's
trainers would put gradient on tool results inside a longer one.
"""

from collections.abc import Iterable, Iterator

from wardian.errors import StorageError
from wardian.events import Forked
from wardian.export.messages import tools, trl, without_nulls
from wardian.export.rows import LeftOut, Load, Row, Sample, Unfit, family
from wardian.runs.preferences import Preference, judgements, preferences
from wardian.runs.trajectory import Trajectory


def kto_samples(runs: Iterable[Trajectory], load: Load) -> Iterator[Sample | LeftOut]:
    """A row for each judged reply."""
    del load
    for run in runs:
        for one in judgements(run):
            try:
                row: Row = {
                    "prompt": trl(one.prompt),
                    "completion": trl([one.reply]),
                    "label": one.good,
                    "tools": without_nulls(tools(run)),
                }
            except Unfit as error:
                yield LeftOut(run_id=run.run_id, reason=str(error))
                continue
            yield Sample(row=row, run_ids=(run.run_id,), family=family(run))


def preference_samples(runs: Iterable[Trajectory], load: Load) -> Iterator[Sample | LeftOut]:
    """A row for each pair among a run and its forks, of which one at least is in `runs`."""
    done: set[str] = set()
    for run in runs:
        fork = str(run.started.fork.get("run_id", "")) if run.started else ""
        for parent_id in (fork, run.run_id):
            if not parent_id or parent_id in done:
                continue
            done.add(parent_id)
            members = _family(run, parent_id, load)
            if len(members) > 1:
                yield from _pairs(members)


def _family(run: Trajectory, parent_id: str, load: Load) -> list[Trajectory]:
    """The parent and its forks, as far as they are still stored."""
    parent = run if parent_id == run.run_id else _stored(parent_id, load)
    if parent is None:
        return []
    forked = [e.run_ids for e in parent.events if isinstance(e, Forked)]
    ids = dict.fromkeys([*(run_id for ids in forked for run_id in ids), run.run_id])
    ids.pop(parent_id, None)
    return [parent, *(one for run_id in ids if (one := _stored(run_id, load)))]


def _stored(run_id: str, load: Load) -> Trajectory | None:
    try:
        return load(run_id)
    except StorageError:
        return None  # removed since


def _pairs(members: list[Trajectory]) -> Iterator[Sample | LeftOut]:
    parent = members[0]
    by_id = {one.run_id: one for one in members}
    for pair in preferences(members):
        run_ids = (pair.chosen.run_id, pair.rejected.run_id)
        try:
            row = _row(pair, by_id[pair.chosen.run_id])
        except Unfit as error:
            yield LeftOut(run_id=run_ids[0], reason=str(error))
            continue
        yield Sample(row=row, run_ids=run_ids, family=family(parent))


def _row(pair: Preference, run: Trajectory) -> Row:
    return {
        "prompt": trl(pair.prompt),
        "chosen": trl([pair.chosen.reply]),
        "rejected": trl([pair.rejected.reply]),
        "tools": without_nulls(tools(run)),
    }
