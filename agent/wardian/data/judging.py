"""Judged replies (`kto`): what the user thought of them, and those of clearly good or bad runs."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wardian.data.choice import Form
from wardian.data.choosing import Attempt
from wardian.data.pairing import labelled
from wardian.data.replies import Shown, replies
from wardian.data.rows import JudgedRow, TextJudgedRow
from wardian.data.source import Made, Source
from wardian.data.streams import streams
from wardian.data.text_rows import text_judged_row
from wardian.data.token_rows import judged_row
from wardian.export.rows import Unfit
from wardian.runs import Trajectory
from wardian.runs.preferences import judgements

REWARD = "reward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    shown: Shown
    is_good: bool
    signs: tuple[str, ...]


def judged(attempts: Sequence[Attempt], source: Source) -> Iterator[Made]:
    """A row for each reply, of replies that are the same one.

    Where the same reply to the same prompt was in good runs and in bad ones, it was not what
    decided: it is left out. So all are looked at before the first is written.
    """
    labels = {
        one.origin.run_id: good for one, good in labelled(attempts, source.choice, source.drop)
    }
    chosen = [one for one in attempts if one.origin.run_id in labels or one.is_judged]
    seen: dict[bytes, set[bool]] = {}
    for one in chosen:
        for made in _of_run(one, labels.get(one.origin.run_id), source, note=False):
            key, label = _key(made)
            seen.setdefault(key, set()).add(label)
    written: set[bytes] = set()
    for one in chosen:
        for made in _of_run(one, labels.get(one.origin.run_id), source, note=True):
            key, _ = _key(made)
            if len(seen[key]) > 1:
                source.drop(made.run_ids[0], "of a reply, it was called good and bad")
            elif key in written:
                source.drop(made.run_ids[0], "of a reply, it says the same as another")
            else:
                written.add(key)
                yield made


def _of_run(one: Attempt, label: bool | None, source: Source, *, note: bool) -> Iterator[Made]:
    run = source.load(one.origin.run_id)
    read = streams(run) if source.form is Form.TOKENS else None
    for verdict in _verdicts(run, label):
        shown, good, signs = verdict.shown, verdict.is_good, verdict.signs
        try:
            row: JudgedRow | TextJudgedRow = (
                judged_row(one.origin, read, shown.step, label=good, signs=signs)
                if read
                else text_judged_row(one.origin, run, shown, label=good, signs=signs)
            )
        except Unfit as fault:
            if note:
                source.drop(one.origin.run_id, f"of a reply, {fault}")
            continue
        yield Made(row=row, run_ids=(one.origin.run_id,), group=one.origin.group)


def _verdicts(run: Trajectory, label: bool | None) -> Iterator[Verdict]:
    """What the user said of a reply stands over what its run earned."""
    by_user = {one.step: one for one in judgements(run)}
    for shown in replies(run):
        if found := by_user.get(shown.step):
            signs = tuple(map(str, found.signs))
            yield Verdict(shown=shown, is_good=found.good, signs=signs)
        elif label is not None:
            yield Verdict(shown=shown, is_good=label, signs=(REWARD,))


def _key(made: Made) -> tuple[bytes, bool]:
    row = made.row
    assert isinstance(row, JudgedRow | TextJudgedRow)
    if isinstance(row, JudgedRow):
        parts: tuple[object, object] = (row.prompt_ids, row.completion.token_ids)
    else:
        parts = (row.prompt, row.completion)
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).digest(), row.label
