"""Rows of tokens, from the streams of one run or of two."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from wardian.data.choice import Scope
from wardian.data.choosing import Attempt
from wardian.data.replies import do_the_same
from wardian.data.rows import Completion, JudgedRow, Origin, PairRow, StepSpan, TokenRow
from wardian.data.streams import Branch, Sampled, Streams
from wardian.export.rows import Unfit
from wardian.types import Message, Sampling

SAMPLING_KEYS = ("temperature", "top_p", "constrain")

Learnt = Callable[[Sampled], bool]
"""Is that reply one to learn from?"""


def whole(reply: Sampled) -> bool:
    return reply.is_whole


def any_reply(_: Sampled) -> bool:
    """A bad step is learnt from too, by its reward."""
    return True


def token_rows(
    attempt: Attempt,
    read: Streams,
    learnt: Learnt,
    steps: Mapping[int, tuple[float | None, dict[str, float]]],
) -> Iterator[TokenRow]:
    """A row for each branch that has something to learn; `steps` has the worth of each."""
    for number, branch in enumerate(read.branches):
        spans = [
            StepSpan(
                step=reply.step,
                begin=reply.begin,
                end=reply.end,
                reward=steps.get(reply.step, (None, {}))[0],
                marks=steps.get(reply.step, (None, {}))[1],
            )
            for reply in branch.replies
            if learnt(reply)
        ]
        if not spans:
            continue
        mask, logprobs, constrained = _columns(branch, learnt)
        yield TokenRow(
            origin=replace(attempt.origin, branch=number),
            token_ids=tuple(branch.ids),
            loss_mask=mask,
            logprobs=logprobs,
            constrained=constrained,
            sampling=_sampling(branch.replies[0].sampling),
            reward=attempt.reward,
            status=attempt.status,
            steps=tuple(spans),
        )


def judged_row(
    origin: Origin, read: Streams, step: int, *, label: bool, signs: tuple[str, ...]
) -> JudgedRow:
    """Raises: Unfit."""
    branch, reply = _at(read, step)
    if label and not reply.is_whole:
        raise Unfit("a reply called good was cut off or malformed")
    return JudgedRow(
        prompt_ids=branch.prompt_ids(reply),
        completion=_completion(origin, branch, reply, reply.end, None),
        label=label,
        step=step,
        signs=signs,
    )


def parted(
    chosen: Streams,
    rejected: Streams,
    messages: tuple[Mapping[int, Message], Mapping[int, Message]],
) -> int:
    """The step at which two runs that began alike wrote different things.

    `messages` are the replies of both by step. Raises: Unfit.
    """
    one, other = chosen.branches[0], rejected.branches[0]
    for mine, theirs in zip(one.replies, other.replies, strict=False):
        if one.ids[: mine.begin] != other.ids[: theirs.begin]:
            raise Unfit("the two part in what they were told, not in what the model wrote")
        if one.sampled_ids(mine) == other.sampled_ids(theirs):
            continue
        if do_the_same(messages[0][mine.step], messages[1][theirs.step]):
            raise Unfit("the two do the same where they part")
        return mine.step
    raise Unfit("the two never part")


def pair_row(
    chosen: tuple[Origin, float | None, Streams],
    rejected: tuple[Origin, float | None, Streams],
    step: int,
    *,
    scope: Scope,
    signs: tuple[str, ...],
) -> PairRow:
    """What both wrote at a step to one prompt. Raises: Unfit where the prompts differ."""
    branch, reply = _at(chosen[2], step)
    other, worse = _at(rejected[2], step)
    if branch.prompt_ids(reply) != other.prompt_ids(worse):
        raise Unfit("the two were not shown the very same ids")
    if not reply.is_whole:
        raise Unfit("a reply called good was cut off or malformed")
    ends = (reply.end, worse.end) if scope is Scope.STEP else (len(branch.ids), len(other.ids))
    return PairRow(
        prompt_ids=branch.prompt_ids(reply),
        chosen=_completion(chosen[0], branch, reply, ends[0], chosen[1]),
        rejected=_completion(rejected[0], other, worse, ends[1], rejected[1]),
        step=step,
        signs=signs,
    )


def _at(read: Streams, step: int) -> tuple[Branch, Sampled]:
    found = read.at(step)
    if found is None:
        raise Unfit("the judged reply has no token ids")
    return found


def _completion(
    origin: Origin, branch: Branch, reply: Sampled, end: int, reward: float | None
) -> Completion:
    """From a reply to `end`, what the model itself wrote there unmasked."""
    mask, logprobs, _ = _columns(branch, any_reply)
    return Completion(
        origin=origin,
        token_ids=tuple(branch.ids[reply.begin : end]),
        loss_mask=mask[reply.begin : end],
        logprobs=logprobs[reply.begin : end],
        reward=reward,
    )


def _columns(
    branch: Branch, learnt: Learnt
) -> tuple[tuple[int, ...], tuple[float, ...], tuple[int, ...]]:
    """Mask, logprobs and constraint, each as long as the branch."""
    mask, logprobs = [0] * len(branch.ids), [0.0] * len(branch.ids)
    constrained = [0] * len(branch.ids)
    for reply in branch.replies:
        logprobs[reply.begin : reply.end] = reply.logprobs
        constrained[reply.begin : reply.end] = map(int, reply.constrained)
        if learnt(reply):
            mask[reply.begin : reply.end] = [1] * len(reply.logprobs)
    return tuple(mask), tuple(logprobs), tuple(constrained)


def _sampling(sampling: Sampling | None) -> dict[str, Any]:
    given = asdict(sampling) if sampling else {}
    return {key: given[key] for key in SAMPLING_KEYS if given.get(key) is not None}
