"""Rows of messages in TRL's columns, for runs of models whose token ids nobody recorded."""

from collections.abc import Mapping, Sequence

from wardian.data.choosing import Attempt
from wardian.data.replies import Shown, do_the_same
from wardian.data.rows import Origin, TextJudgedRow, TextPairRow, TextRow, TextStepsRow
from wardian.export.formats import refuse_cut
from wardian.export.messages import openai, tools, trl, until_last_reply, without_nulls
from wardian.export.rows import Unfit
from wardian.runs.trajectory import Trajectory
from wardian.types import Message, Role


def text_row(attempt: Attempt, run: Trajectory) -> TextRow:
    """Raises: Unfit."""
    refuse_cut(run)
    return TextRow(
        origin=attempt.origin,
        messages=trl(until_last_reply(run.messages)),
        tools=without_nulls(tools(run)),
        reward=attempt.reward,
        status=attempt.status,
    )


def text_steps_row(
    attempt: Attempt, run: Trajectory, steps: Mapping[int, float | None], order: Sequence[int]
) -> TextStepsRow:
    """`order` has the step of each reply in the conversation. Raises: Unfit."""
    messages = until_last_reply(run.messages)
    places = [i for i, message in enumerate(messages) if message.role is Role.ASSISTANT]
    if len(places) != len(order):
        raise Unfit("its conversation was compacted")
    worth = [(place, steps.get(step)) for place, step in zip(places, order, strict=True)]
    rewarded = [(place, value) for place, value in worth if value is not None]
    return TextStepsRow(
        origin=attempt.origin,
        messages=trl(messages),
        tools=without_nulls(tools(run)),
        reward=attempt.reward,
        status=attempt.status,
        replies=tuple(place for place, _ in rewarded),
        step_rewards=tuple(value for _, value in rewarded),
    )


def text_judged_row(
    origin: Origin, run: Trajectory, shown: Shown, *, label: bool, signs: tuple[str, ...]
) -> TextJudgedRow:
    """Raises: Unfit."""
    return TextJudgedRow(
        origin=origin,
        prompt=trl(shown.prompt),
        completion=trl([shown.reply]),
        label=label,
        tools=without_nulls(tools(run)),
        step=shown.step,
        signs=signs,
    )


def text_parted(chosen: Sequence[Shown], rejected: Sequence[Shown]) -> tuple[Shown, Shown]:
    """The first replies in which two runs differ that were shown the same. Raises: Unfit."""
    for mine, theirs in zip(chosen, rejected, strict=False):
        if openai(mine.prompt) != openai(theirs.prompt):
            raise Unfit("the two part in what they were told, not in what the model wrote")
        if _plain(mine.reply) == _plain(theirs.reply):
            continue
        if do_the_same(mine.reply, theirs.reply):
            raise Unfit("the two do the same where they part")
        return mine, theirs
    raise Unfit("the two never part")


def text_pair_row(
    origins: tuple[Origin, Origin],
    run: Trajectory,
    prompt: Sequence[Message],
    replies: tuple[Message, Message],
    step: int,
    *,
    signs: tuple[str, ...],
) -> TextPairRow:
    """Better and worse, in this order. Raises: Unfit."""
    return TextPairRow(
        origin=origins[0],
        rejected_origin=origins[1],
        prompt=trl(prompt),
        chosen=trl([replies[0]]),
        rejected=trl([replies[1]]),
        tools=without_nulls(tools(run)),
        step=step,
        signs=signs,
    )


def _plain(message: Message) -> object:
    return openai([message])
