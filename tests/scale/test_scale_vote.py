"""Several attempts, and the answer that most agree on."""

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian import Agent, Budgets
from wardian.errors import ConfigurationError, ModelError, WardianError
from wardian.runs import RunStore
from wardian.scale.attempts import failures, sampling_of
from wardian.scale.vote import is_decided, same_maths, same_text, vote
from wardian.types import Finish, Message, Reply, Request, Role, Sampling, Usage

MakeAgent = Callable[..., Agent[Any]]


def saying(*answers: str) -> Callable[[Request], str]:
    """Gives these answers, one a run."""
    left = iter(answers)
    return lambda _: next(left)


def test_the_largest_camp_wins_and_says_how_many_agree(make_agent: MakeAgent) -> None:
    agent = make_agent(saying("Paris", "Lyon", "paris.", "Nice", " Paris "))
    chosen = asyncio.run(vote(agent, "capital?", 5, parallel=1))
    assert chosen.winner is not None
    assert chosen.winner.index == 0
    assert chosen.support == {"Paris": 3, "Lyon": 1, "Nice": 1}
    assert chosen.agreement == 0.6


def test_of_equal_camps_the_one_that_began_first_wins(make_agent: MakeAgent) -> None:
    chosen = asyncio.run(vote(make_agent(saying("b", "a", "a", "b")), "?", 4, parallel=1))
    assert list(chosen.support) == ["b", "a"]


def test_what_cannot_change_the_outcome_is_not_asked(make_agent: MakeAgent) -> None:
    asked = itertools.count(1)
    agent = make_agent(lambda _: f"{next(asked) and 'same'}")
    chosen = asyncio.run(vote(agent, "?", 9, parallel=1))
    assert next(asked) == 6  # five of nine decide
    assert failures(chosen.group) == {"It was not needed any more.": 4}


@given(st.lists(st.integers(0, 3), max_size=5), st.integers(0, 6))
def test_decided_means_that_no_continuation_has_another_winner(sizes: list[int], left: int) -> None:
    sizes = sorted(sizes, reverse=True)
    leader = max(sizes, default=0)
    others = [*sizes[1:], 0]
    assert is_decided(sizes, left) == (leader > max(others) + left)


def test_mathematics_agrees_however_it_is_written(make_agent: MakeAgent) -> None:
    pytest.importorskip("math_verify", reason="math-verify is not installed: wardian[train]")
    agent = make_agent(saying("0.5", r"$\frac{1}{2}$", "2", "1/2"))
    chosen = asyncio.run(vote(agent, "?", 4, same=same_maths, parallel=1))
    assert chosen.support == {"0.5": 3, "2": 1}


def test_attempts_sample_differently_and_the_user_s_choice_stays() -> None:
    spread = [sampling_of(Sampling(), i, 3, (0.5, 1.0), 7) for i in range(3)]
    assert [one.temperature for one in spread] == [0.5, 0.75, 1.0]
    assert [one.seed for one in spread] == [7, 8, 9]
    assert sampling_of(Sampling(temperature=0.1), 2, 3, (0.5, 1.0), None).temperature == 0.1


def test_the_attempts_are_linked_runs(make_agent: MakeAgent, tmp_path: Path) -> None:
    chosen = asyncio.run(vote(make_agent(saying("a", "b", "a")), "?", 3, parallel=1))
    store = RunStore(tmp_path / "runs")
    started = [store.load(run_id).started for run_id in reversed(store.ids())]
    groups = [one.group for one in started if one]
    assert groups == [
        {"id": chosen.group.id, "index": index, "size": 3, "select": "vote"} for index in range(3)
    ]


def test_all_draw_on_one_budget_of_tokens(make_agent: MakeAgent) -> None:
    def costly(_: Request) -> Reply:
        message = Message(role=Role.ASSISTANT, content="a")
        usage = Usage(prompt_tokens=100, completion_tokens=200)
        return Reply(message=message, finish=Finish.STOP, usage=usage)

    agent = make_agent(costly, budgets=Budgets(tokens=700))
    chosen = asyncio.run(vote(agent, "?", 6, parallel=1, same=same_maths))
    assert chosen.support == {"a": 3}  # the third was let in while something was left
    assert chosen.group.ledger.used.tokens == 900
    assert failures(chosen.group) == {"tokens": 3}


def test_one_that_breaks_is_a_missing_vote_and_all_of_them_an_error(
    make_agent: MakeAgent,
) -> None:
    answers: list[Any] = ["a", ModelError("It fell over."), "a"]
    left = iter(answers)
    chosen = asyncio.run(vote(make_agent(lambda _: next(left)), "?", 3, parallel=1))
    assert chosen.support == {"a": 2}
    with pytest.raises(WardianError, match=r"Every attempt broke; the first: It fell over\."):
        asyncio.run(vote(make_agent(lambda _: ModelError("It fell over.")), "?", 2))


@pytest.mark.parametrize("samples", [0, -1, 5000])
def test_a_senseless_number_of_samples_is_refused(make_agent: MakeAgent, samples: int) -> None:
    with pytest.raises(ConfigurationError, match="Take between 1 and"):
        asyncio.run(vote(make_agent(saying()), "?", samples))


def test_texts_are_the_same_but_for_case_space_and_full_stop() -> None:
    async def pairs() -> list[bool]:
        return [await same_text("A  b.", "a b"), await same_text("a", "ab")]

    assert asyncio.run(pairs()) == [True, False]
