"""Rows to imitate (`sft`), and the same with what each step was worth (`steps`)."""

from collections.abc import Iterator, Sequence

from wardian.data.choice import Form
from wardian.data.choosing import Attempt, best_of_each, merit, place
from wardian.data.duplicates import Seen
from wardian.data.rows import DataRow, Goal
from wardian.data.source import Made, Source
from wardian.data.streams import streams
from wardian.data.text_rows import text_row, text_steps_row
from wardian.data.token_rows import any_reply, token_rows, whole
from wardian.data.worth import worth_of_steps
from wardian.events import ModelReplied
from wardian.export.rows import Unfit
from wardian.runs import Trajectory


def imitated(attempts: Sequence[Attempt], source: Source) -> Iterator[Made]:
    """For `sft` the best of each task; for `steps` any of them, since bad steps teach too."""
    choice = source.choice
    seen = Seen(choice.near)

    def mixed(one: Attempt) -> bytes:
        return place(one.origin.run_id, choice.seed)

    rank = mixed if choice.goal is Goal.STEPS else merit
    chosen = best_of_each(attempts, choice.caps, seen, choice.seed, source.drop, rank)
    for one in chosen:
        run_id = one.origin.run_id
        run = source.load(run_id)
        try:
            rows = list(_rows(one, run, source))
        except Unfit as fault:
            source.drop(run_id, str(fault))
            continue
        if not rows:
            source.drop(run_id, "every reply of it was cut off or malformed")
        for row in rows:
            yield Made(row=row, run_ids=(run_id,), group=one.origin.group)


def _rows(one: Attempt, run: Trajectory, source: Source) -> Iterator[DataRow]:
    """Raises: Unfit."""
    is_steps = source.choice.goal is Goal.STEPS
    worth = worth_of_steps(run, one.reward) if is_steps else {}
    if source.form is Form.TOKENS:
        yield from token_rows(one, streams(run), any_reply if is_steps else whole, worth)
    elif is_steps:
        order = [event.step for event in run.events if isinstance(event, ModelReplied)]
        rewards = {step: value for step, (value, _) in worth.items()}
        yield text_steps_row(one, run, rewards, order)
    else:
        yield text_row(one, run)
