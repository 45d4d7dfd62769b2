"""What the user showed to like and dislike, read off the events of runs.

A judgement is about one reply: the user rated its step, allowed or refused a call of it, or took
back what it did. A preference is a pair of replies to the very same messages, one judged good and
the other bad: those of a run and its forks at the step where they part. A fork that reached its
answer stands as good against a reply that the user refused, took back, or rated as bad.
Nothing is guessed: a reply nobody said anything about is not judged.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from wardian.events import CallDecided, ChangesUndone, ModelReplied, Rated
from wardian.prompt import Conversation
from wardian.runs.trajectory import Trajectory
from wardian.types import Message, Stop
from wardian_policies.types import Ask


class Sign(StrEnum):
    """How the user showed it."""

    RATED = "rated"
    ALLOWED = "allowed"
    REFUSED = "refused"
    UNDONE = "undone"
    FORKED = "forked"
    """The fork was made instead of a bad reply, and reached its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One reply, and whether it was good."""

    run_id: str
    step: int
    prompt: tuple[Message, ...]
    reply: Message
    good: bool
    signs: tuple[Sign, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Two replies to the same messages."""

    prompt: tuple[Message, ...]
    chosen: Judgement
    rejected: Judgement
    group: str
    """Of the forks it comes from"""


def judgements(trajectory: Trajectory) -> list[Judgement]:
    """What the user showed of this run's replies, in their order.

    A rating of the whole run is about its last reply. What the user said later stands over what
    was said before, and any of it over the yes to a call.
    """
    replies = dict(_replies(trajectory))
    if not replies:
        return []
    said: dict[int, list[tuple[bool, Sign, str]]] = {}
    for event in trajectory.events:
        match event:
            case CallDecided(decision=Ask(), answer="yes" | "no" as answer):
                sign = Sign.ALLOWED if answer == "yes" else Sign.REFUSED
                said.setdefault(event.step, []).append((answer == "yes", sign, ""))
            case ChangesUndone(steps=steps):
                for step in steps:
                    said.setdefault(step, []).append((False, Sign.UNDONE, ""))
            case Rated(step=step, good=good, note=note):
                said.setdefault(step or max(replies), []).append((good, Sign.RATED, note))
            case _:
                pass
    return [
        _judged(trajectory.run_id, step, *replies[step], said[step])
        for step in sorted(said)
        if step in replies
    ]


def preferences(trajectories: Iterable[Trajectory]) -> Iterator[Preference]:
    """The pairs among these runs and their forks; each fork's parent must be among them."""
    by_id = {one.run_id: one for one in trajectories}
    families: dict[tuple[str, int], list[Trajectory]] = {}
    for one in by_id.values():
        if one.started and one.started.fork:
            link = one.started.fork
            families.setdefault((link["run_id"], link["step"]), []).append(one)
    for (parent, step), forks in families.items():
        if parent in by_id:
            yield from _pairs(by_id[parent], forks, step)


def _pairs(parent: Trajectory, forks: list[Trajectory], step: int) -> Iterator[Preference]:
    judged = [j for one in (parent, *forks) for j in judgements(one) if j.step == step]
    bad = [one for one in judged if not one.good]
    good = [one for one in judged if one.good]
    if bad:
        known = {one.run_id for one in judged}
        good += [_instead(one, step) for one in forks if one.run_id not in known and _is_done(one)]
    groups = {one.run_id: one.started.fork["group"] for one in forks if one.started}
    for chosen in good:
        for rejected in bad:
            if chosen.prompt == rejected.prompt and chosen.reply != rejected.reply:
                group = groups.get(chosen.run_id) or groups[rejected.run_id]
                yield Preference(
                    prompt=chosen.prompt, chosen=chosen, rejected=rejected, group=group
                )


def _replies(trajectory: Trajectory) -> Iterator[tuple[int, tuple[tuple[Message, ...], Message]]]:
    """By step: the messages the model was shown, and its reply."""
    conversation = Conversation()
    for event in trajectory.events:
        if isinstance(event, ModelReplied):
            yield event.step, (tuple(conversation.messages), event.reply.message)
        conversation.apply(event)


def _judged(
    run_id: str,
    step: int,
    prompt: tuple[Message, ...],
    reply: Message,
    said: list[tuple[bool, Sign, str]],
) -> Judgement:
    refused = any(sign is Sign.REFUSED for _, sign, _ in said)
    stronger = [one for one in said if one[1] in (Sign.RATED, Sign.UNDONE)]
    good = stronger[-1][0] if stronger else not refused
    return Judgement(
        run_id=run_id,
        step=step,
        prompt=prompt,
        reply=reply,
        good=good,
        signs=tuple(dict.fromkeys(sign for _, sign, _ in said)),
        note=" ".join(note for _, _, note in said if note),
    )


def _instead(fork: Trajectory, step: int) -> Judgement:
    prompt, reply = dict(_replies(fork))[step]
    signs = (Sign.FORKED,)
    return Judgement(
        run_id=fork.run_id, step=step, prompt=prompt, reply=reply, good=True, signs=signs
    )


def _is_done(one: Trajectory) -> bool:
    return one.finished is not None and one.finished.stop is Stop.DONE
