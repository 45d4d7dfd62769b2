"""Pairs of replies (`dpo`): attempts that earned more and less, and what the user preferred."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

from wardian.data.choice import Form, Scope
from wardian.data.choosing import Attempt
from wardian.data.pairing import Pair, pairs
from wardian.data.replies import replies
from wardian.data.rows import Origin, PairRow, TextPairRow
from wardian.data.source import Made, Source
from wardian.data.streams import Streams, streams
from wardian.data.text_rows import text_pair_row, text_parted
from wardian.data.token_rows import pair_row, parted
from wardian.export.rows import Unfit
from wardian.runs import Trajectory
from wardian.runs.preferences import Preference, preferences

REWARD = "reward"


def preferred(attempts: Sequence[Attempt], source: Source) -> Iterator[Made]:
    """What the user showed comes first: a pair that says the opposite of an earlier one is out."""
    said: set[bytes] = set()
    for made in chain(_by_user(attempts, source), _by_reward(attempts, source)):
        if _is_new(made, said, source):
            yield made


def _by_reward(attempts: Sequence[Attempt], source: Source) -> Iterator[Made]:
    for pair in pairs(attempts, source.choice, source.drop):
        run_ids = pair.better.origin.run_id, pair.worse.origin.run_id
        runs = source.load(run_ids[0]), source.load(run_ids[1])
        try:
            make = _token_row if source.form is Form.TOKENS else _text_row
            row = make(pair, runs, source)
        except Unfit as fault:
            source.drop(run_ids[0], f"of a pair, {fault}")
            continue
        yield Made(row=row, run_ids=run_ids, group=pair.better.origin.group)


def _token_row(pair: Pair, runs: tuple[Trajectory, Trajectory], source: Source) -> PairRow:
    """Raises: Unfit."""
    better, worse = streams(runs[0]), streams(runs[1])
    messages = [{one.step: one.reply for one in replies(run)} for run in runs]
    step = parted(better, worse, (messages[0], messages[1]))
    return pair_row(
        (pair.better.origin, pair.better.reward, better),
        (pair.worse.origin, pair.worse.reward, worse),
        step,
        scope=source.choice.scope,
        signs=(REWARD,),
    )


def _text_row(pair: Pair, runs: tuple[Trajectory, Trajectory], source: Source) -> TextPairRow:
    """Always one message a side. Raises: Unfit."""
    del source
    better, worse = text_parted(list(replies(runs[0])), list(replies(runs[1])))
    return text_pair_row(
        (pair.better.origin, pair.worse.origin),
        runs[0],
        better.prompt,
        (better.reply, worse.reply),
        better.step,
        signs=(REWARD,),
    )


def _by_user(attempts: Sequence[Attempt], source: Source) -> Iterator[Made]:
    """From runs and their forks, a family at a time."""
    by_id = {one.origin.run_id: one for one in attempts}
    forks: defaultdict[str, list[str]] = defaultdict(list)
    for one in attempts:
        if one.fork_of in by_id:
            forks[one.fork_of].append(one.origin.run_id)
    for parent in sorted(forks):
        members = {run_id: source.load(run_id) for run_id in (parent, *forks[parent])}
        for preference in preferences(members.values()):
            run_ids = preference.chosen.run_id, preference.rejected.run_id
            origins = by_id[run_ids[0]].origin, by_id[run_ids[1]].origin
            try:
                row = _preference_row(preference, members, origins, source)
            except Unfit as fault:
                source.drop(run_ids[0], f"of a pair, {fault}")
                continue
            yield Made(row=row, run_ids=run_ids, group=by_id[parent].origin.group)


def _preference_row(
    preference: Preference,
    members: dict[str, Trajectory],
    origins: tuple[Origin, Origin],
    source: Source,
) -> PairRow | TextPairRow:
    """Raises: Unfit."""
    chosen, rejected = preference.chosen, preference.rejected
    signs = tuple(dict.fromkeys(str(sign) for sign in (*chosen.signs, *rejected.signs)))
    if source.form is Form.TOKENS:
        read: list[Streams] = [streams(members[one.run_id]) for one in (chosen, rejected)]
        sides = (origins[0], None, read[0]), (origins[1], None, read[1])
        return pair_row(*sides, chosen.step, scope=Scope.STEP, signs=signs)
    return text_pair_row(
        origins,
        members[chosen.run_id],
        preference.prompt,
        (chosen.reply, rejected.reply),
        chosen.step,
        signs=signs,
    )


def _is_new(made: Made, said: set[bytes], source: Source) -> bool:
    row = made.row
    assert isinstance(row, PairRow | TextPairRow)
    sides: tuple[object, object, object]
    if isinstance(row, PairRow):
        sides = row.prompt_ids, row.chosen.token_ids, row.rejected.token_ids
    else:
        sides = row.prompt, row.chosen, row.rejected
    prompt, chosen, rejected = map(repr, sides)
    key, opposite = _digest(prompt, chosen, rejected), _digest(prompt, rejected, chosen)
    if key in said:
        source.drop(made.run_ids[0], "of a pair, it says the same as another")
    elif opposite in said:
        source.drop(made.run_ids[0], "of a pair, it says the opposite of another")
    else:
        said.add(key)
        return True
    return False


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
