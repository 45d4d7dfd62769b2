"""Rows from what the user showed to like and dislike: see `wardian.runs.preferences`.

Each says in `provenance`, as JSON text, which replies of which runs it is made of and how they were
judged. The messages that both replies had before them are the prompt, and each side is one reply:
TRL's trainers would put gradient on tool results inside a longer one.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress

from wardian.errors import StorageError
from wardian.events import Forked
from wardian.export.messages import tools, trl, without_nulls
from wardian.export.rows import LeftOut, Load, Row, Sample, Unfit, family
from wardian.runs.preferences import (
    Judgement,
    Preference,
    comparison,
    judgements,
    preferences,
)
from wardian.runs.trajectory import Trajectory


def kto_samples(runs: Iterable[Trajectory], load: Load) -> Iterator[Sample | LeftOut]:
    """A row for each judged reply."""
    for run in runs:
        for one in judgements(run):
            try:
                row: Row = {
                    "prompt": trl(one.prompt),
                    "completion": trl([one.reply]),
                    "label": one.good,
                    "tools": without_nulls(tools(run)),
                    "provenance": json.dumps(_source(one)),
                }
            except Unfit as error:
                yield LeftOut(run_id=run.run_id, reason=str(error))
                continue
            yield Sample(row=row, run_ids=(run.run_id,), family=family(run, load))


def preference_samples(runs: Iterable[Trajectory], load: Load) -> Iterator[Sample | LeftOut]:
    """A row for each pair among a run, its forks, and the attempts that it was compared with."""
    circles: set[str] = set()
    done: set[tuple[str, ...]] = set()
    for run in runs:
        for members in _circles(run, load, circles):
            for pair in preferences(members):
                sides = (pair.chosen, pair.rejected)
                key = tuple(f"{one.run_id} {one.step} {one.signs}" for one in sides)
                if key not in done:
                    done.add(key)
                    yield _sample(pair, members, load)


def _circles(run: Trajectory, load: Load, seen: set[str]) -> Iterator[list[Trajectory]]:
    """Those that a run can be paired in, each once: with its forks, its siblings, its group."""
    fork = str(run.started.fork.get("run_id", "")) if run.started else ""
    for parent_id in filter(None, (run.run_id, fork)):
        if parent_id not in seen:
            seen.add(parent_id)
            yield _family(run, parent_id, load)
    compared = comparison(run)
    if compared and compared.group not in seen:
        seen.add(compared.group)
        yield [run, *_stored({compared.winner, *compared.members} - {run.run_id}, load)]


def _family(run: Trajectory, parent_id: str, load: Load) -> list[Trajectory]:
    """The parent and its forks, as far as they are still stored."""
    parent = [run] if parent_id == run.run_id else _stored([parent_id], load)
    forked = [e.run_ids for one in parent for e in one.events if isinstance(e, Forked)]
    ids = {run_id for ids in forked for run_id in ids} - {parent_id, run.run_id}
    return [*parent, *([run] if parent_id != run.run_id else []), *_stored(ids, load)]


def _stored(ids: Iterable[str], load: Load) -> list[Trajectory]:
    """Those that were not removed since, and may be exported."""
    found: list[Trajectory] = []
    for run_id in sorted(ids):
        with suppress(StorageError):
            found.append(load(run_id))
    return found


def _sample(pair: Preference, members: list[Trajectory], load: Load) -> Sample | LeftOut:
    by_id = {one.run_id: one for one in members}
    run_ids = tuple(dict.fromkeys((pair.chosen.run_id, pair.rejected.run_id)))
    try:
        row: Row = {
            "prompt": trl(pair.prompt),
            "chosen": trl([pair.chosen.reply]),
            "rejected": trl([pair.rejected.reply]),
            "tools": without_nulls(tools(by_id[pair.chosen.run_id])),
            "provenance": json.dumps(
                {
                    "chosen": _source(pair.chosen),
                    "rejected": _source(pair.rejected),
                    "group": pair.group,
                }
            ),
        }
    except Unfit as error:
        return LeftOut(run_id=run_ids[0], reason=str(error))
    return Sample(row=row, run_ids=run_ids, family=family(members[0], load))


def _source(one: Judgement) -> Row:
    return {
        "run_id": one.run_id,
        "step": one.step,
        "signs": [sign.value for sign in one.signs],
        "note": one.note,
    }
