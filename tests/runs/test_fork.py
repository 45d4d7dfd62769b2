"""A fork restarts from a step with the conversation and the files as they then were."""

import asyncio
from typing import Any

import pytest
from tests.runs.conftest import House

from wardian import Budgets, FunctionModel, Sampling
from wardian.errors import ConfigurationError
from wardian.events import Forked, ModelAsked
from wardian.models.replies import Answer
from wardian.reruns import Fork, fork
from wardian.reruns.aligning import align
from wardian.reruns.forking import link
from wardian.results import RunResult
from wardian.runs import RunLog
from wardian.runs.filters import Filters
from wardian.runs.search import find_runs
from wardian.types import Request, Role, Stop
from wardian.viewing.steps import origin

SCRIPT: list[Answer] = [
    [("shell", {"command": "echo one > a.txt"})],
    [("shell", {"command": "echo two >> a.txt; echo b > b.txt"})],
    "Done.",
]
OTHER: list[Answer] = [
    "never asked",
    [("shell", {"command": "cat a.txt; ls; echo fork > c.txt"})],
    "Forked.",
]


def forked(
    house: House,
    script: list[Answer],
    step: int,
    options: dict[str, Any] | None = None,
    **more: Any,
) -> tuple[list[Fork], list[RunResult[Any]]]:
    async def perform() -> tuple[list[Fork], list[RunResult[Any]]]:
        async with house.agent(script, **(options or {})) as agent:
            forks = await fork(agent, "last", step, **more)
            results = [await one.rerun.perform() for one in forks]
            link(house.store, forks)
            return forks, results

    return asyncio.run(perform())


def tool_texts(result: RunResult[Any]) -> list[str]:
    return [m.content for m in result.messages if m.role is Role.TOOL]


def test_it_sees_the_files_of_that_step_and_leaves_the_users_folder_alone(house: House) -> None:
    parent = house.run(SCRIPT)
    (house.workspace / "a.txt").write_text("changed since")
    [one], [result] = forked(house, OTHER, 2)
    assert (result.answer, result.steps) == ("Forked.", 3)
    assert tool_texts(result)[-1] == "one\na.txt"
    assert one.place is not None
    assert sorted(path.name for path in one.place.iterdir()) == ["a.txt", "c.txt"]
    assert sorted(path.name for path in house.workspace.iterdir()) == ["a.txt", "b.txt"]
    started = house.load(one.run_id).started
    assert started is not None
    assert started.fork["run_id"] == parent.run_id
    assert started.fork["step"] == 2
    listed = {run.run_id: run.steps for run in house.store.list()}
    found = {run.run_id: run.steps for run in find_runs(house.store.root, Filters())}
    assert found == listed
    assert found[one.run_id] == 3


def test_from_its_first_step_it_begins_with_the_untouched_workspace(house: House) -> None:
    house.run(SCRIPT)
    _, [result] = forked(house, [[("shell", {"command": "ls | wc -l"})], "Done."], 1)
    assert tool_texts(result) == ["0"]


def test_siblings_have_a_workspace_and_a_seed_each_and_are_linked(house: House) -> None:
    parent = house.run(SCRIPT, sampling=Sampling(temperature=1.0))
    forks, results = forked(house, OTHER, 2, count=3, seed=7)
    assert {tuple(tool_texts(result)[-1:]) for result in results} == {("one\na.txt",)}
    headers = [house.load(one.run_id).started for one in forks]
    assert [h.settings["sampling"]["seed"] for h in headers if h] == [7, 8, 9]
    assert {h.settings["sampling"]["temperature"] for h in headers if h} == {1.0}
    assert len({h.fork["group"] for h in headers if h}) == 1
    assert [h.fork["index"] for h in headers if h] == [0, 1, 2]
    told = [e for e in house.load(parent.run_id).events if isinstance(e, Forked)]
    assert [e.run_ids for e in told] == [tuple(one.run_id for one in forks)]
    assert house.load(parent.run_id).finished is not None


def test_the_prefix_is_what_the_model_had_seen(house: House) -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Answer:
        seen.append(request)
        return SCRIPT[sum(message.role is Role.ASSISTANT for message in request.messages)]

    model = FunctionModel(answer, name="model")
    house.run([], model=model)
    forked(house, [], 3, {"model": FunctionModel(answer, name="model")})
    assert seen[3].messages == seen[2].messages


def test_steps_count_on_and_limits_from_the_first_runs_beginning(house: House) -> None:
    house.run(SCRIPT)
    [one], [result] = forked(house, OTHER, 2, {"budgets": Budgets(steps=2)})
    assert (result.stop, result.steps) == (Stop.STEPS, 2)
    asked = [e.step for e in house.load(one.run_id).events if isinstance(e, ModelAsked)]
    assert asked == [2]


def test_a_fork_can_be_forked(house: House) -> None:
    house.run(SCRIPT)
    forked(house, OTHER, 2)
    _, [result] = forked(house, [*OTHER[:2], [("shell", {"command": "ls"})], "Again."], 3)
    assert tool_texts(result)[-1] == "a.txt\nc.txt"
    assert result.answer == "Again."


def test_what_a_fork_lays_out_shares_the_kept_contents(house: House) -> None:
    parent = house.run(SCRIPT)
    [one], _ = forked(house, OTHER, 2)
    theirs = house.store.root / parent.run_id / "files"
    mine = house.store.root / one.run_id / "files"
    shared = {p.name: p.stat().st_ino for p in mine.iterdir() if (theirs / p.name).exists()}
    assert shared
    assert shared == {name: (theirs / name).stat().st_ino for name in shared}


@pytest.mark.parametrize("step", [0, 4, 99])
def test_a_step_that_is_not_there_is_refused(house: House, step: int) -> None:
    house.run(SCRIPT)
    with pytest.raises(ConfigurationError, match=r"no step .* Name one from 1 to 3"):
        forked(house, OTHER, step)


def test_forks_of_a_run_that_somebody_uses_are_linked_by_their_own_word(house: House) -> None:
    parent = house.run(SCRIPT)
    log = RunLog.reopen(house.store.root / parent.run_id)
    try:
        [one], [result] = forked(house, OTHER, 2)
    finally:
        log.close()
    assert result.answer == "Forked."
    assert not [e for e in house.load(parent.run_id).events if isinstance(e, Forked)]
    assert next(house.store.list()).fork == parent.run_id
    started = house.load(one.run_id).started
    assert started is not None
    assert origin(started) == f"fork of run {parent.run_id}, step 2"


def test_a_run_and_its_fork_are_compared_from_where_they_part(house: House) -> None:
    parent = house.load(house.run(SCRIPT).run_id)
    [one], _ = forked(house, OTHER, 2)
    fork_run = house.load(one.run_id)
    for first, second in ((parent, fork_run), (fork_run, parent)):
        found = align(first, second)
        assert (found.shared, [(p.first, p.second) for p in found.pairs]) == (1, [(2, 2), (3, 3)])
        assert found.conditions == ()
