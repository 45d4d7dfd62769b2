"""What the user did with runs becomes judgements and pairs, and nothing else does."""

import asyncio

from tests.runs.conftest import House

from wardian import Answer as Said
from wardian import Policy
from wardian.events import Rated
from wardian.models.replies import Answer
from wardian.reruns import fork
from wardian.reruns.forking import annotate, link
from wardian.runs.preferences import Sign, judgements, preferences
from wardian.runs.undo import undo
from wardian_policies.types import Ask
from wardian_tools import ToolCall

WRITE: list[Answer] = [[("write_file", {"path": "a.txt", "content": "bad"})], "Done."]
BETTER: list[Answer] = [[("write_file", {"path": "a.txt", "content": "good"})], "Better."]


def forked(house: House, script: list[Answer], run_id: str, step: int = 1) -> str:
    async def perform() -> str:
        async with house.agent(script) as agent:
            forks = await fork(agent, run_id, step)
            await forks[0].rerun.perform()
            link(house.store, forks)
            return forks[0].run_id

    return asyncio.run(perform())


def test_a_run_nobody_said_anything_about_is_not_judged(house: House) -> None:
    house.run(WRITE)
    assert judgements(house.load()) == []
    assert list(preferences([house.load()])) == []


def test_a_yes_and_a_no_are_judgements(house: House) -> None:
    answers = iter([True, False])

    async def approve(ask: Ask, call: ToolCall) -> bool:
        del ask, call
        return next(answers)

    script: list[Answer] = [*WRITE[:1], [("write_file", {"path": "b", "content": "b"})], "Done."]
    path = house.workspace.parent / "policy.toml"
    path.write_text('[tools]\ndefault = "ask"\n')
    house.run(script, approve=approve, policy=Policy.load(path))
    found = judgements(house.load())
    assert [(j.step, j.good, j.signs) for j in found] == [
        (1, True, (Sign.ALLOWED,)),
        (2, False, (Sign.REFUSED,)),
    ]
    assert found[1].prompt[-1].content.startswith("created a.txt")


def test_what_was_taken_back_and_what_was_rated_is_bad(house: House) -> None:
    run = house.run(WRITE)
    undo(house.store, run.run_id)
    annotate(house.store, run.run_id, Rated(step=0, good=False, note="wrong"))
    found = judgements(house.load(run.run_id))
    assert [(j.step, j.good, j.signs, j.note) for j in found] == [
        (1, False, (Sign.UNDONE,), ""),
        (2, False, (Sign.RATED,), "wrong"),
    ]


def test_a_fork_made_instead_of_a_bad_step_is_preferred_to_it(house: House) -> None:
    run = house.run(WRITE)
    undo(house.store, run.run_id)
    other = forked(house, BETTER, run.run_id)
    [pair] = preferences([house.load(run.run_id), house.load(other)])
    assert (pair.chosen.run_id, pair.rejected.run_id) == (other, run.run_id)
    assert pair.chosen.signs == (Sign.FORKED,)
    assert pair.chosen.reply.calls[0].arguments == {"path": "a.txt", "content": "good"}
    assert pair.prompt == pair.rejected.prompt
    started = house.load(other).started
    assert started is not None
    assert pair.group == started.fork["group"]


def test_of_two_rated_forks_the_good_one_is_preferred(house: House) -> None:
    run = house.run(WRITE)
    good, bad = forked(house, BETTER, run.run_id), forked(house, ["No idea."], run.run_id)
    annotate(house.store, good, Rated(step=1, good=True))
    annotate(house.store, bad, Rated(step=1, good=False))
    [pair] = preferences(house.load(one) for one in (run.run_id, good, bad))
    assert (pair.chosen.run_id, pair.rejected.run_id) == (good, bad)


def test_the_last_word_counts(house: House) -> None:
    run = house.run(WRITE)
    annotate(house.store, run.run_id, Rated(step=1, good=False))
    annotate(house.store, run.run_id, Rated(step=1, good=True))
    assert [j.good for j in judgements(house.load())] == [True]


def editing(house: House, *answers: Said | bool, script: list[Answer] | None = None) -> None:
    """A run whose calls are all asked about, and answered so."""
    left = iter(answers)

    async def approve(ask: Ask, call: ToolCall) -> Said | bool:
        del ask, call
        return next(left)

    path = house.workspace.parent / "policy.toml"
    path.write_text('[tools]\ndefault = "ask"\ndeny = ["write_file(secret*)"]\n')
    house.run(script or WRITE, approve=approve, policy=Policy.load(path))


def test_what_the_user_made_of_a_call_is_preferred_to_what_the_model_wrote(house: House) -> None:
    editing(house, Said.edit(path="a.txt", content="better"), True)
    [pair] = preferences([house.load()])
    assert pair.prompt == pair.chosen.prompt == pair.rejected.prompt
    contents = [one.reply.calls[0].arguments for one in (pair.chosen, pair.rejected)]
    assert [given and given["content"] for given in contents] == ["better", "bad"]
    assert pair.rejected.signs == (Sign.EDITED,)
    assert Sign.EDITED in pair.chosen.signs
    assert [(j.good, j.step) for j in judgements(house.load())] == [(True, 1), (False, 1)]


def test_a_changed_call_that_was_not_let_run_is_no_preference(house: House) -> None:
    editing(house, Said.edit(path="a.txt", content="other"), False)
    assert list(preferences([house.load()])) == []
    assert [(j.good, j.signs) for j in judgements(house.load())] == [(False, (Sign.REFUSED,))]
    editing(house, Said.edit(path="secret.txt", content="other"))
    assert list(preferences([house.load()])) == []


def test_taking_back_what_a_changed_call_did_judges_the_change(house: House) -> None:
    editing(house, Said.edit(path="a.txt", content="other"), True)
    undo(house.store, house.store.find("last"))
    assert list(preferences([house.load()])) == []
    assert [j.good for j in judgements(house.load())] == [False, False]


def test_a_yes_for_the_session_is_a_yes(house: House) -> None:
    editing(house, Said.session())
    assert [(j.good, j.signs) for j in judgements(house.load())] == [(True, (Sign.ALLOWED,))]
