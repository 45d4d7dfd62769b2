"""What a program that approves calls may answer, and what becomes of the calls."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent, Answer, RunStore, ScriptedModel, Stop, tool
from wardian.approval import MAX_EDITS, Pending
from wardian.events import CallDecided, CallFinished, CallStarted
from wardian.results import RunResult
from wardian_policies.types import Allow, Ask, Deny
from wardian_tools import Effect
from wardian_tools.types import ResultStatus, ToolCall

POLICY = """
[tools]
default = "ask"
deny = ["keep(text=secret*)"]
allow = ["look"]
"""


class Bench:
    """Runs scripted calls of two tools under a policy that asks."""

    def __init__(self, root: Path) -> None:
        self.store = RunStore(root / "runs")
        self.root = root
        self.kept: list[str] = []
        (root / "policy.toml").write_text(POLICY)

        @tool(effects={Effect.WRITES})
        def keep(text: str, times: int = 1) -> str:
            """Keeps a text."""
            self.kept.extend([text] * times)
            return f"kept {text}"

        @tool
        def look() -> str:
            """Looks."""
            return "seen"

        self.tools = [keep, look]

    def run(self, calls: Sequence[Any], approve: Any) -> RunResult[Any]:
        agent = Agent(
            ScriptedModel([*calls, "Done."]),
            tools=self.tools,
            policy=self.root / "policy.toml",
            approve=approve,
            store=self.store,
            workspace=self.root,
        )
        return agent.run_sync("Do it.")

    def decided(self, run: RunResult[Any]) -> list[CallDecided]:
        return [e for e in self.store.load(run.run_id).events if isinstance(e, CallDecided)]

    def results(self, run: RunResult[Any]) -> list[Any]:
        events = self.store.load(run.run_id).events
        return [e.result for e in events if isinstance(e, CallFinished)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def answering(*answers: bool | Answer) -> Any:
    """An approve that gives these in turn, and keeps what it was asked."""
    left = list(answers)
    asked: list[ToolCall] = []

    async def approve(ask: Ask, call: ToolCall) -> bool | Answer:
        asked.append(call)
        return left.pop(0)

    approve.asked = asked  # type: ignore[attr-defined]
    return approve


def keep(text: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return ("keep", {"text": text, **more})


@pytest.mark.parametrize(
    ("answer", "said"), [(True, "yes"), (False, "no"), (Answer.no(), "no")], ids=str
)
def test_a_plain_bool_is_an_answer(bench: Bench, answer: bool | Answer, said: str) -> None:
    run = bench.run([[keep("a")]], answering(answer))
    assert [event.answer for event in bench.decided(run)] == [said]
    assert bench.kept == (["a"] if said == "yes" else [])


def test_what_is_no_clear_yes_is_no(bench: Bench) -> None:
    for answer in ("yes", 1, None, object()):
        bench.run([[keep("a")]], answering(answer))  # type: ignore[arg-type]
    assert bench.kept == []


def test_the_model_is_told_why_not(bench: Bench) -> None:
    run = bench.run([[keep("a")]], answering(Answer.no("Use b.")))
    assert bench.results(run)[0].status is ResultStatus.DENIED
    assert bench.results(run)[0].content.endswith("They say: Use b.")


def test_yes_for_the_session_is_asked_once_a_rule_and_tool(bench: Bench) -> None:
    approve = answering(Answer.session())
    run = bench.run([[keep("a")], [keep("b"), keep("c")]], approve)
    assert bench.kept == ["a", "b", "c"]
    assert len(approve.asked) == 1
    assert [event.answer for event in bench.decided(run)] == ["session"] * 3


def test_an_edited_call_runs_as_edited_and_the_model_knows(bench: Bench) -> None:
    run = bench.run([[keep("a")]], answering(Answer.edit(text="b", times=2), True))
    assert bench.kept == ["b", "b"]
    first, second = bench.decided(run)
    assert (first.answer, first.edit) == ("edit", {"text": "b", "times": 2})
    assert first.call.arguments == {"text": "a", "times": 1}
    assert second.call.arguments == {"text": "b", "times": 2}
    assert second.call.id == first.call.id
    assert (second.answer, second.edit) == ("yes", None)
    (result,) = bench.results(run)
    assert result.content == (
        "The user changed this call before it ran; its arguments were: "
        '{"text": "b", "times": 2}\nkept b'
    )
    started = [e for e in bench.store.load(run.run_id).events if isinstance(e, CallStarted)]
    assert len(started) == 1


def test_an_edited_call_is_decided_like_any_other(bench: Bench) -> None:
    run = bench.run([[keep("a")]], answering(Answer.edit(text="secret x")))
    assert bench.kept == []
    assert [type(event.decision) for event in bench.decided(run)] == [Ask, Deny]
    assert bench.results(run)[0].status is ResultStatus.DENIED


def test_an_edit_is_validated(bench: Bench) -> None:
    run = bench.run([[keep("a")]], answering(Answer.edit(text="b", tmes=2)))
    assert bench.kept == []
    (result,) = bench.results(run)
    assert result.status is ResultStatus.MALFORMED
    assert "The user changed this call to one that cannot run" in result.content
    assert "tmes" in result.content


def test_an_approve_that_edits_for_ever_is_stopped(bench: Bench) -> None:
    edits = [Answer.edit(text=f"b{n}") for n in range(2 * MAX_EDITS)]
    approve = answering(*edits)
    run = bench.run([[keep("a")]], approve)
    assert bench.kept == []
    assert len(approve.asked) == MAX_EDITS + 1
    assert run.stop is Stop.DONE


class Several:
    """Sees all pending calls at once."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.seen: list[list[Pending]] = []

    async def __call__(self, ask: Ask, call: ToolCall) -> bool:
        raise AssertionError("it wants to see all of them")

    async def several(self, pending: Sequence[Pending]) -> list[Answer]:
        self.seen.append(list(pending))
        return [self.answers.pop(0) for _ in pending]


def test_the_pending_calls_of_a_reply_come_in_one_question(bench: Bench) -> None:
    yes = Answer.of(True)
    approve = Several(yes, Answer.no(), Answer.edit(text="d"), yes)
    run = bench.run([[keep("a"), ("look", {}), keep("b"), keep("c")]], approve)
    assert [[one.call.name for one in seen] for seen in approve.seen] == [["keep"] * 3, ["keep"]]
    assert bench.kept == ["a", "d"]
    names = [(r.name, r.status.value) for r in bench.results(run)]
    assert names == [("keep", "ok"), ("look", "ok"), ("keep", "denied"), ("keep", "ok")]


def test_a_pending_call_offers_the_rule_that_would_allow_it_and_checks_an_edit(
    bench: Bench,
) -> None:
    approve = Several(Answer.no())
    bench.run([[keep("a")]], approve)
    ((pending,),) = approve.seen
    assert (pending.pattern, pending.is_rule) == ("keep", True)
    assert pending.check({"text": "b"}) is None
    assert "times" in (pending.check({"text": "b", "times": "many"}) or "")


def test_without_anybody_to_ask_the_run_ends_there(bench: Bench) -> None:
    run = bench.run([[("look", {}), keep("a")]], None)
    assert run.stop is Stop.APPROVAL
    assert [type(event.decision) for event in bench.decided(run)] == [Allow, Ask]
    assert bench.kept == []


def test_the_answers_are_read_back_from_the_trajectory(bench: Bench) -> None:
    run = bench.run([[keep("a")]], answering(Answer.edit(text="b"), Answer.session()))
    assert run.path is not None
    lines = [json.loads(line) for line in run.path.read_text().splitlines()]
    decided = [line["data"] for line in lines if line.get("kind") == "call_decided"]
    assert [one["answer"] for one in decided] == ["edit", "session"]
    assert decided[0]["edit"] == {"text": "b"}
