"""Two runs are paired by what their steps call, and part where they first differ."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runs.conftest import House

from wardian import Budgets, RunStore, Trajectory, tool
from wardian.events import ModelReplied
from wardian.models.replies import Answer
from wardian.reruns.aligning import Alignment, align
from wardian.runs.facts import KINDS as FACT_KINDS
from wardian.runs.lines import lines_of
from wardian.runs.texts import KINDS, texts_of
from wardian.viewing.finding import texts
from wardian_tools import Effect


@tool(effects=[Effect.READS])
def look(at: str) -> str:
    """Look."""
    return f"seen {at}"


@tool(effects=[Effect.READS])
def listen(to: str) -> str:
    """Listen."""
    return f"heard {to}"


def recorded(house: House, *steps: str) -> Trajectory:
    """A run that looks at each, listens to those that begin with `!`, and answers."""
    script: list[Answer] = [
        [("listen", {"to": one[1:]})] if one.startswith("!") else [("look", {"at": one})]
        for one in steps
    ]
    return house.load(house.run([*script, "Done."], tools=[look, listen]).run_id)


def numbers(found: Alignment) -> list[tuple[int | None, int | None, str]]:
    return [
        (pair.first, pair.second, pair.difference.what if pair.difference else "")
        for pair in found.pairs
    ]


def test_a_run_is_the_same_as_one_that_did_the_same(house: House) -> None:
    found = align(recorded(house, "a", "b"), recorded(house, "a", "b"))
    assert found.is_same
    assert numbers(found) == [(1, 1, ""), (2, 2, ""), (3, 3, "")]


def test_a_step_more_stands_alone_and_the_rest_is_paired(house: House) -> None:
    found = align(recorded(house, "a", "b"), recorded(house, "a", "!x", "b"))
    assert numbers(found) == [(1, 1, ""), (None, 2, ""), (2, 3, ""), (3, 4, "")]
    assert not found.is_same
    assert found.first == found.pairs[1]


def test_the_same_tool_with_other_arguments_is_the_same_step_done_otherwise(house: House) -> None:
    found = align(recorded(house, "a", "!b"), recorded(house, "c", "!b"))
    assert numbers(found) == [(1, 1, "calls[0].arguments.at"), (2, 2, ""), (3, 3, "")]
    assert found.first
    assert found.first.difference
    assert (found.first.difference.first, found.first.difference.second) == ("a", "c")


def test_another_task_and_another_answer_are_named(house: House) -> None:
    one = house.agent(["yes"]).run_sync("One?")
    other = house.agent(["no"]).run_sync("Two?")
    found = align(house.load(one.run_id), house.load(other.run_id))
    assert [condition.what for condition in found.conditions] == ["task"]
    assert found.end
    assert found.end.what == "answer"


def test_a_run_without_a_readable_beginning_can_be_compared(house: House) -> None:
    run = recorded(house, "a")
    path = run.path
    path.write_bytes(b"\0" * 20 + path.read_bytes()[20:])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"\0\n", *lines[2:]]))
    assert [c.what for c in align(run, house.load(run.run_id)).conditions] != []


@settings(max_examples=8)
@given(
    st.lists(st.sampled_from("ab"), max_size=4), st.lists(st.sampled_from(["a", "!b"]), max_size=4)
)
def test_every_step_of_both_runs_stands_there_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, one: list[str], other: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "w").mkdir()
    house = House(RunStore(folder / "runs"), folder / "w")
    first, second = recorded(house, *one), recorded(house, *other)
    found = align(first, second)
    chosen = [pair.first for pair in found.pairs], [pair.second for pair in found.pairs]
    for run, numbered in zip((first, second), chosen, strict=True):
        steps = [event.step for event in run.events if isinstance(event, ModelReplied)]
        assert [number for number in numbered if number is not None] == steps
    assert found.is_same == (one == other)


def test_the_texts_of_lines_are_those_of_events(house: House) -> None:
    run = recorded(house, "a", "!b" + "x" * 40_000)
    typed = [found for event in run.events for found in texts(event) if found[2]]
    plain = [
        tuple(text)
        for line in lines_of(run.path.parent, KINDS | FACT_KINDS)
        for text in texts_of(line)
    ]
    assert plain == typed


def test_other_limits_are_named_and_not_the_hash_of_a_policy(house: House) -> None:
    one = house.load(house.run(["Done."], budgets=Budgets(steps=5)).run_id)
    other = house.load(house.run(["Done."], budgets=Budgets(steps=6)).run_id)
    (found,) = align(one, other).conditions
    assert (found.what, found.first, found.second) == ("policy.budgets.steps", 5, 6)
