"""What was recorded gives back the very stream that an engine saw, or is refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.conftest import MODEL, Shelf, Turn

from wardian.data.streams import BROKEN, MIXED, WITHOUT_IDS, streams
from wardian.events import ModelReplied
from wardian.export.rows import Unfit
from wardian.runs.trajectory import Record, Trajectory
from wardian.types import Finish, Message, Reply, Role, TokenRecord, Usage

IDS = st.lists(st.integers(0, 99), max_size=5)
STEPS = st.lists(st.tuples(st.floats(0, 1), IDS, IDS.filter(bool)), min_size=1, max_size=6)


def reply(
    step: int, kept: int, suffix: list[int], sampled: list[int], prompt: int, model: str = MODEL
) -> ModelReplied:
    tokens = TokenRecord(
        prompt_suffix_ids=tuple(suffix),
        kept_ids=kept,
        sampled_ids=tuple(sampled),
        logprobs=(-1.0,) * len(sampled),
        constrained=(False,) * len(sampled),
        model_sha256=model,
    )
    message = Message(role=Role.ASSISTANT, content="")
    usage = Usage(prompt_tokens=prompt)
    whole = Reply(message=message, finish=Finish.STOP, usage=usage, tokens=tokens)
    return ModelReplied(step=step, reply=whole, seconds=0.0)


def run_of(*events: ModelReplied) -> Trajectory:
    records = tuple(
        Record(seq=i, wall="", mono=0.0, kind=one.kind, data=None, event=one)
        for i, one in enumerate(events)
    )
    return Trajectory(run_id="R", path=Path("R"), records=records, damage=())


@settings(max_examples=60)
@given(STEPS)
def test_each_reply_stands_behind_the_prompt_that_the_engine_had(
    steps: list[tuple[float, list[int], list[int]]],
) -> None:
    stream: list[int] = []
    prompts: list[list[int]] = []
    events: list[ModelReplied] = []
    for number, (share, suffix, sampled) in enumerate(steps, start=1):
        kept = round(share * len(stream))
        prompt = stream[:kept] + suffix
        events.append(reply(number, kept, suffix, sampled, len(prompt)))
        prompts.append(prompt)
        stream = prompt + sampled
    found = streams(run_of(*events))
    for number, (_, _, sampled) in enumerate(steps, start=1):
        at = found.at(number)
        assert at is not None
        branch, one = at
        assert list(branch.prompt_ids(one)) == prompts[number - 1]
        assert list(branch.sampled_ids(one)) == sampled
    assert sum(len(one.replies) for one in found.branches) == len(steps)


def test_a_prompt_written_anew_begins_a_branch_that_repeats_nothing_to_learn() -> None:
    first, second = reply(1, 0, [1, 2], [3, 4], 2), reply(2, 2, [9], [5], 3)
    found = streams(run_of(first, second))
    assert [one.ids for one in found.branches] == [[1, 2, 3, 4], [1, 2, 9, 5]]
    assert [[r.step for r in one.replies] for one in found.branches] == [[1], [2]]


def test_ids_that_contradict_what_was_counted_are_refused() -> None:
    with pytest.raises(Unfit, match=BROKEN):
        streams(run_of(reply(1, 0, [1, 2], [3], 5)))
    with pytest.raises(Unfit, match=BROKEN):
        streams(run_of(reply(1, 4, [1, 2], [3], 6)))


def test_a_run_of_two_models_is_refused() -> None:
    first, second = reply(1, 0, [1], [2], 1), reply(2, 2, [3], [4], 3, model="c" * 64)
    with pytest.raises(Unfit, match=MIXED):
        streams(run_of(first, second))


def test_a_run_without_ids_is_refused(shelf: Shelf) -> None:
    run = shelf.store.load(shelf.add("one", with_ids=False))
    with pytest.raises(Unfit, match=WITHOUT_IDS):
        streams(run)


def test_a_reply_that_was_cut_or_malformed_is_not_whole(shelf: Shelf) -> None:
    turns = (
        Turn(runs="1", problem="no JSON"),
        Turn(says="long", finish=Finish.LENGTH),
        Turn(says="ok"),
    )
    (branch,) = streams(shelf.store.load(shelf.add(*turns))).branches
    assert [one.is_whole for one in branch.replies] == [False, False, True]
