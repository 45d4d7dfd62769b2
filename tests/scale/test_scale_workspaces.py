"""Attempts that work on files: each on its own, and the winner's changes alone are made."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent
from wardian.errors import ModelUnavailable
from wardian.models.function import FunctionModel
from wardian.rewards.files import ExpectedFile, FileState
from wardian.rewards.judge import Rubric, RubricJudge
from wardian.rewards.texts import NumberMatch
from wardian.rewards.types import GradingFailed
from wardian.scale.best_of import best_of
from wardian.scale.refine import Refined, refine
from wardian.types import Request, Role
from wardian_sandbox import SandboxError
from wardian_sandbox.forking import Fork

MakeAgent = Callable[..., Agent[Any]]


def write(content: str) -> list[tuple[str, dict[str, str]]]:
    return [("write_file", {"path": "out.txt", "content": content})]


def writing(*contents: str) -> Callable[[Request], Any]:
    """One run after another writes its content, then says so."""
    left = iter(contents)

    def answer(request: Request) -> Any:
        if request.messages[-1].role is Role.TOOL:
            return "written"
        return write(next(left))

    return answer


def test_the_winner_s_files_are_taken_over_and_no_other_s(
    make_agent: MakeAgent, workspace: Path
) -> None:
    agent = make_agent(writing("wrong", "right", "right too"), tools=["write_file"])
    wanted = FileState(files=(ExpectedFile(path="out.txt", text="right"),))
    chosen = asyncio.run(best_of(agent, "write it", 3, wanted, parallel=1))
    assert chosen.winner is not None
    assert chosen.winner.index == 1
    assert (workspace / "out.txt").read_text() == "right"
    assert sorted(path.name for path in workspace.iterdir()) == ["notes.txt", "out.txt"]


def test_attempts_do_not_see_each_other_s_files(make_agent: MakeAgent, workspace: Path) -> None:
    def answer(request: Request) -> Any:
        if request.messages[-1].role is Role.TOOL:
            return request.messages[-1].content
        return [("shell", {"command": "ls; echo more >> notes.txt; wc -l < notes.txt"})]

    agent = make_agent(answer, tools=["shell"])
    chosen = asyncio.run(best_of(agent, "?", 3, NumberMatch(expected=2), parallel=3))
    assert [one.reward.value for one in chosen.group.candidates if one.reward] == [1.0] * 3
    assert (workspace / "notes.txt").read_text() == "as it was\nmore\n"


def test_when_nothing_can_be_graded_that_is_said(make_agent: MakeAgent, workspace: Path) -> None:
    with pytest.raises(GradingFailed, match="files are not known"):
        asyncio.run(best_of(make_agent(lambda _: "a"), "?", 2, FileState(files=())))


RUBRIC = Rubric.parse("- kind: is polite\n- brief: has one word")


def critic(*marks: tuple[float, float]) -> RubricJudge:
    left = iter(marks)

    def grade(_: Request) -> str:
        kind, brief = next(left)
        said = (
            f'{{"name": "kind", "met": {kind}, "why": "rude"}}, {{"name": "brief", "met": {brief}'
        )
        return f'{{"criteria": [{said}, "why": "long"}}]}}'

    return RubricJudge(model=FunctionModel(grade, name="critic"), rubric=RUBRIC)


def test_refining_tells_what_was_wanting_and_keeps_the_best(
    make_agent: MakeAgent, workspace: Path
) -> None:
    asked: list[str] = []
    plain = writing("first", "second", "third")

    def answer(request: Request) -> Any:
        asked.append(request.messages[-1].content)
        return plain(request)

    agent = make_agent(answer, tools=["write_file"])
    refined = asyncio.run(refine(agent, "write", 5, critic((0, 1), (1, 0.9), (0, 0))))
    assert refined.best is not None
    assert refined.best.index == 1
    assert refined.stopped == "A further round did not make it better."
    assert "- kind: rude" in asked[2]
    assert "brief" not in asked[2]
    assert (workspace / "out.txt").read_text() == "second"


def test_criticism_goes_on_from_what_was_chosen_among_several(
    make_agent: MakeAgent, workspace: Path
) -> None:
    plain = writing("wrong", "right", "wrong", "better")
    turns: list[int] = []

    def answer(request: Request) -> Any:
        turns.append(len(request.messages))
        return plain(request)

    agent = make_agent(answer, tools=["write_file"])
    wanted = FileState(files=(ExpectedFile(path="out.txt", text="right"),))

    async def both() -> Refined:
        chosen = await best_of(agent, "write it", 3, wanted, parallel=1)
        return await refine(agent, "write it", 5, critic((0, 1), (1, 1)), first=chosen)

    refined = asyncio.run(both())
    assert [one.index for one in refined.group.candidates] == [0, 1, 2, 3]
    assert refined.best is refined.group.candidates[3]
    assert refined.stopped == "The critic found nothing wanting."
    assert turns[6] > turns[4]  # with the conversation of the one that was chosen
    assert refined.group.ledger.used.steps == 8
    assert (workspace / "out.txt").read_text() == "better"


def test_where_no_round_is_better_the_chosen_one_s_files_stay(
    make_agent: MakeAgent, workspace: Path
) -> None:
    agent = make_agent(writing("right", "worse"), tools=["write_file"])
    wanted = FileState(files=(ExpectedFile(path="out.txt", text="right"),))

    async def both() -> Refined:
        chosen = await best_of(agent, "write it", 1, wanted)
        return await refine(agent, "write it", 5, critic((0, 1), (0, 0)), first=chosen)

    refined = asyncio.run(both())
    assert refined.best is not None
    assert refined.best.index == 0
    assert (workspace / "out.txt").read_text() == "right"


def test_a_content_critic_ends_it(make_agent: MakeAgent) -> None:
    refined = asyncio.run(refine(make_agent(lambda _: "hi"), "greet", 5, critic((1, 1))))
    assert refined.stopped == "The critic found nothing wanting."
    assert len(refined.group.candidates) == 1


@pytest.mark.parametrize("useful", [0, 1])
def test_a_critic_that_fails_costs_no_answer_and_is_named(
    make_agent: MakeAgent, workspace: Path, useful: int
) -> None:
    replies = iter([json.dumps({"criteria": [{"name": "kind", "met": 0, "why": "no"}]})] * useful)
    judge = RubricJudge(
        model=FunctionModel(lambda _: next(replies, "no idea"), name="critic"),
        rubric=Rubric.parse("- kind: it is polite"),
    )
    agent = make_agent(writing("first", "second"), tools=["write_file"])
    refined = asyncio.run(refine(agent, "write", 5, judge))
    assert refined.best is refined.group.candidates[0]
    assert len(refined.group.candidates) == 1 + useful
    assert refined.stopped.startswith("The critic is of no use: critic did not grade as it was")
    assert (workspace / "out.txt").read_text() == "first"


def test_a_round_that_breaks_costs_no_answer(make_agent: MakeAgent, workspace: Path) -> None:
    plain = writing("first")

    def answer(request: Request) -> Any:
        if len([m for m in request.messages if m.role is Role.USER]) > 1:
            raise ModelUnavailable("The server is gone.")
        return plain(request)

    agent = make_agent(answer, tools=["write_file"])
    refined = asyncio.run(refine(agent, "write", 5, critic((0, 1))))
    assert refined.best is refined.group.candidates[0]
    assert refined.stopped == "A further round broke: The server is gone."
    assert (workspace / "out.txt").read_text() == "first"


def test_a_fork_brings_back_additions_changes_and_deletions(
    workspace: Path, tmp_path: Path
) -> None:
    (workspace / "deep" / "er").mkdir(parents=True)
    (workspace / "deep" / "er" / "gone.txt").write_text("x")
    (workspace / "link").symlink_to("notes.txt")
    place = tmp_path / "fork"
    place.mkdir()
    fork = Fork(workspace, place)
    (place / "notes.txt").write_text("changed")
    (place / "deep" / "er" / "gone.txt").unlink()
    (place / "new").mkdir()
    (place / "new" / "file").write_text("new")
    (workspace / "mine.txt").write_text("made meanwhile")
    assert [(c.kind, c.path) for c in fork.bring_back()] == [
        ("deleted", "deep/er/gone.txt"),
        ("added", "new/file"),
        ("modified", "notes.txt"),
    ]
    assert (workspace / "notes.txt").read_text() == "changed"
    assert (workspace / "mine.txt").read_text() == "made meanwhile"
    assert not (workspace / "deep" / "er" / "gone.txt").exists()
    assert (workspace / "link").is_symlink()


@pytest.mark.parametrize("theirs", ["changed", "deleted", "added"])
def test_what_was_changed_on_both_sides_is_overwritten_on_neither(
    workspace: Path, tmp_path: Path, theirs: str
) -> None:
    place = tmp_path / "fork"
    place.mkdir()
    fork = Fork(workspace, place)
    name = "other.txt" if theirs == "added" else "notes.txt"
    (place / name).write_text("from the fork")
    (place / "harmless.txt").write_text("from the fork")
    if theirs == "deleted":
        (workspace / name).unlink()
    else:
        (workspace / name).write_text("from the user")
    with pytest.raises(SandboxError, match=rf"{name} was changed in"):
        fork.bring_back()
    assert not (workspace / "harmless.txt").exists()
    if theirs != "deleted":
        assert (workspace / name).read_text() == "from the user"


def test_a_critic_elsewhere_is_shown_nothing_that_stays_here(
    make_agent: MakeAgent, workspace: Path
) -> None:
    class Elsewhere(FunctionModel):
        @property
        def is_local(self) -> bool:
            return False

    def look(request: Request) -> Any:
        calls = [("read_file", {"path": ".env"})]
        return "It is set." if len(request.messages) > 2 else calls

    (workspace / ".env").write_text("COLOUR=blue")
    asked = Elsewhere(lambda _: "", name="elsewhere")
    judge = RubricJudge(model=asked, rubric=Rubric.parse("- right"))
    agent = make_agent(look, tools=["read_file"], store=False)
    refined = asyncio.run(refine(agent, "Is it set?", 2, judge))
    assert asked.requests == []
    assert refined.best is not None
    assert refined.best.answer == "It is set."
    assert "keeps on this machine" in refined.best.error
