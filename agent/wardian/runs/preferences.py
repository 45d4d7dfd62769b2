"""What the user showed to like and dislike, read off the events of runs.

A judgement is about one reply: the user rated its step, allowed, refused or changed a call of it,
or took back what it did. A preference is a pair of replies to the very same messages, one better
than the other:
- those of a run and its forks at the step where they part, one judged good and the other bad; a
  fork that reached its answer stands as good against a reply that was judged bad;
- a reply and what the user made of it by changing a call, if the changed call was let run;
- of attempts at one task that were compared, the winner's and that of one worth less, at the step
  where they first differ.
Nothing is guessed: a reply nobody said anything about is not judged.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from wardian.events import CallDecided, ChangesUndone, Compared, ModelReplied, Rated
from wardian.prompt import Conversation
from wardian.runs.trajectory import Trajectory
from wardian.types import Message, Stop
from wardian_policies.types import Ask, Deny
from wardian_tools.types import ToolCall

YES = ("yes", "session", "always")


class Sign(StrEnum):
    """How the user showed it."""

    RATED = "rated"
    ALLOWED = "allowed"
    REFUSED = "refused"
    EDITED = "edited"
    """A call of it was changed. What it was changed to was not written by the model."""
    UNDONE = "undone"
    FORKED = "forked"
    """The fork was made instead of a bad reply, and reached its answer."""
    COMPARED = "compared"
    """Its attempt was chosen among others at the task, or not."""


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
    was said before, and any of it over the yes to a call. Where a call was changed, all that is
    about the reply as changed; the one that the model wrote follows it, and is bad.
    """
    replies = dict(_replies(trajectory))
    if not replies:
        return []
    said: dict[int, list[Said]] = {}
    changed: dict[int, dict[str, ToolCall]] = {}
    for event in trajectory.events:
        match event:
            case CallDecided(answer="edit", step=step, call=call):
                changed.setdefault(step, {})[call.id] = call
            case CallDecided():
                _decided(event, said, changed)
            case ChangesUndone(steps=steps):
                for step in steps:
                    said.setdefault(step, []).append((False, Sign.UNDONE, ""))
            case Rated(step=step, good=good, note=note):
                said.setdefault(step or max(replies), []).append((good, Sign.RATED, note))
            case _:
                pass
    found: list[Judgement] = []
    for step in sorted(said):
        if step in replies:
            prompt, reply = replies[step]
            as_run = _as_run(reply, changed.get(step, {}))
            found.append(_judged(trajectory.run_id, step, prompt, as_run, said[step]))
            if as_run != reply:
                original: list[Said] = [(False, Sign.EDITED, "")]
                found.append(_judged(trajectory.run_id, step, prompt, reply, original))
    return found


Said = tuple[bool, Sign, str]
"""Was it good, how it was shown, and what was noted"""


def _decided(
    event: CallDecided, said: dict[int, list[Said]], changed: dict[int, dict[str, ToolCall]]
) -> None:
    """The last word on a call: a yes, a no, or what the policy says of a changed one."""
    edits = changed.get(event.step, {})
    was_edited = event.call.id in edits
    is_refused = event.answer == "no" or (was_edited and isinstance(event.decision, Deny))
    if was_edited and not is_refused:
        edits[event.call.id] = event.call
        said.setdefault(event.step, []).append((True, Sign.EDITED, ""))
    elif is_refused:
        edits.pop(event.call.id, None)
        said.setdefault(event.step, []).append((False, Sign.REFUSED, ""))
    elif isinstance(event.decision, Ask) and event.answer in YES:
        said.setdefault(event.step, []).append((True, Sign.ALLOWED, ""))


def _as_run(reply: Message, changed: dict[str, ToolCall]) -> Message:
    """The reply with its calls as they were changed."""
    if not changed:
        return reply
    return replace(reply, calls=tuple(changed.get(call.id, call) for call in reply.calls))


def preferences(trajectories: Iterable[Trajectory]) -> Iterator[Preference]:
    """The pairs among these runs; a fork's parent and the winner of a group must be among them."""
    by_id = {one.run_id: one for one in trajectories}
    families: dict[tuple[str, int], list[Trajectory]] = {}
    for one in by_id.values():
        yield from _edits(one)
        if compared := comparison(one):
            winner = by_id.get(compared.winner)
            yield from _losses(winner, one) if winner else ()
        if one.started and one.started.fork:
            link = one.started.fork
            families.setdefault((link["run_id"], link["step"]), []).append(one)
    for (parent, step), forks in families.items():
        if parent in by_id:
            yield from _pairs(by_id[parent], forks, step)


def comparison(run: Trajectory) -> Compared | None:
    """What was said last of the group of attempts that it belongs to."""
    return next((e for e in reversed(run.events) if isinstance(e, Compared)), None)


def _edits(run: Trajectory) -> Iterator[Preference]:
    """What the model wrote, and what the user made of it."""
    by_step: dict[int, list[Judgement]] = {}
    for one in judgements(run):
        by_step.setdefault(one.step, []).append(one)
    for found in by_step.values():
        if len(found) == 2 and found[0].good:
            chosen, rejected = found
            yield Preference(prompt=chosen.prompt, chosen=chosen, rejected=rejected, group="")


def _losses(winner: Trajectory, other: Trajectory) -> Iterator[Preference]:
    """The first replies in which they differ, if it was worth less."""
    won, lost = comparison(winner), comparison(other)
    if not won or not lost or won.group != lost.group or lost.value >= won.value:
        return
    for (step, (prompt, reply)), (_, (theirs, their_reply)) in zip(
        _replies(winner), _replies(other), strict=False
    ):
        if _shown(prompt) != _shown(theirs):
            return
        if _shown([reply]) != _shown([their_reply]):
            chosen = _attempt(winner.run_id, step, prompt, reply, won)
            rejected = _attempt(other.run_id, step, prompt, their_reply, lost)
            yield Preference(prompt=prompt, chosen=chosen, rejected=rejected, group=won.group)
            return


def _attempt(
    run_id: str, step: int, prompt: tuple[Message, ...], reply: Message, compared: Compared
) -> Judgement:
    return Judgement(
        run_id=run_id,
        step=step,
        prompt=prompt,
        reply=reply,
        good=run_id == compared.winner,
        signs=(Sign.COMPARED,),
        note=f"{compared.by}: {compared.value:g}",
    )


def _shown(messages: Iterable[Message]) -> list[object]:
    """What a model sees of them: some providers number the same calls otherwise each time."""
    return [
        (one.role, one.content, one.name, one.images, [_written(call) for call in one.calls])
        for one in messages
    ]


def _written(call: ToolCall) -> tuple[str, str]:
    return call.name, call.arguments_text


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
            is_pair = chosen.run_id != rejected.run_id and chosen.reply != rejected.reply
            if is_pair and chosen.prompt == rejected.prompt:
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
    said: list[Said],
) -> Judgement:
    stronger = [one for one in said if one[1] in (Sign.RATED, Sign.UNDONE)]
    good = stronger[-1][0] if stronger else all(good for good, _, _ in said)
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
