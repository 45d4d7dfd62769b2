"""Evaluations with real runs: what is asked, what is graded, what is kept, and what goes on."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.evals.small import AgentOf, Counting, a_suite, a_task, does, writes

from wardian.budget import Ledger
from wardian.errors import (
    ConfigurationError,
)
from wardian.evals.attempting import Scaling
from wardian.evals.evaluate import evaluate
from wardian.evals.outcomes import Ending
from wardian.evals.report import report
from wardian.evals.storing import LOG_NAME, EvaluationStore
from wardian.events import Rewarded, RunStarted
from wardian.models.function import FunctionModel
from wardian.models.replies import Answer
from wardian.rewards.judge import Rubric, RubricJudge
from wardian.rewards.specification import offered
from wardian.runs import RunStore
from wardian.types import Request, Role
from wardian_policies.types import Budgets


def test_each_attempt_is_a_stored_run_with_its_tags_and_its_reward(
    agent_of: AgentOf, store: RunStore, evaluations: EvaluationStore
) -> None:
    agent = agent_of(Counting("42", "41"))
    found = asyncio.run(
        evaluate(a_suite(a_task()), [agent], attempts=2, jobs=1, evaluations=evaluations)
    )
    assert [one.ending for one in found.outcomes] == [Ending.PASSED, Ending.WRONG]
    assert found.is_complete
    groups = []
    for one in found.outcomes:
        events = store.load(one.run_id).events
        started = events[0]
        assert isinstance(started, RunStarted)
        assert {"suite:small", "task:sums/1", f"eval:{found.plan.id}"} <= set(started.tags)
        assert {"family:sums", "split:test", f"attempt:{one.attempt}"} <= set(started.tags)
        groups.append((started.group["id"], started.group["index"], started.group["size"]))
        rewards = [event.value for event in events if isinstance(event, Rewarded)]
        assert rewards == [one.value]
    assert groups == [(groups[0][0], 0, 2), (groups[0][0], 1, 2)]
    assert evaluations.load("last").outcomes == found.outcomes


def test_the_solver_sees_neither_the_check_nor_what_is_hidden(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    seen: list[Request] = []
    look = does("ls -A; cat * 2>/dev/null; env; ls -A ..")

    def answer(request: Request) -> Any:
        seen.append(request)
        return look(request)

    task = a_task(
        "code/1",
        tools=["shell"],
        files={"start.txt": "given to all"},
        hidden={"zebra.txt": "hidden from all"},
        verifier={"kind": "command", "command": "cat zebra.txt", "prints": "hidden from all"},
    )
    found = asyncio.run(evaluate(a_suite(task), [agent_of(answer)], evaluations=evaluations))
    assert [one.ending for one in found.outcomes] == [Ending.PASSED]
    said = "\n".join(message.content for request in seen for message in request.messages)
    assert "given to all" in said
    assert "zebra" not in said
    assert "hidden from all" not in said
    assert "code/1" not in said


@pytest.mark.parametrize(
    ("command", "ending"),
    [
        ("echo 2 > answer.txt", Ending.PASSED),
        ("echo 2 > answer.txt; echo pass > tests/check.py", Ending.TAMPERED),
        ("echo 2 > answer.txt; rm tests/check.py", Ending.TAMPERED),
        ("echo 2 > answer.txt; echo > tests/conftest.py", Ending.TAMPERED),
        ("echo 2 > answer.txt; rm -r tests; ln -s / tests", Ending.TAMPERED),
        ("echo 1 > answer.txt", Ending.WRONG),
    ],
    ids=["honest", "rewrites", "removes", "adds", "links", "fails"],
)
def test_a_run_that_changes_what_is_protected_earns_nothing(
    agent_of: AgentOf, evaluations: EvaluationStore, command: str, ending: Ending
) -> None:
    task = a_task(
        tools=["shell"],
        files={"tests/check.py": "assert open('answer.txt').read() == '2\\n'; print('good')\n"},
        protected=["tests/**"],
        verifier={"kind": "command", "command": "python3 tests/check.py", "prints": "good"},
    )
    found = asyncio.run(evaluate(a_suite(task), [agent_of(does(command))], evaluations=evaluations))
    (one,) = found.outcomes
    assert (one.ending, one.value) == (ending, float(ending is Ending.PASSED))
    assert ("protected" in one.detail) is (ending is Ending.TAMPERED)


def test_a_pass_after_writing_where_a_hidden_file_belongs_is_named(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    task = a_task(tools=["write_file"], hidden={"out.txt": "x"})
    agent = agent_of(writes("out.txt", "y"))
    found = asyncio.run(evaluate(a_suite(task), [agent], evaluations=evaluations))
    assert found.outcomes[0].passed
    assert found.outcomes[0].suspicions == ("The run wrote out.txt, where a hidden file belongs.",)


def test_a_run_cannot_escape_its_grade_by_locking_its_files(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    task = a_task(
        tools=["shell"],
        files={"d/a.txt": "1"},
        verifier={"kind": "command", "command": "cat d/a.txt", "prints": "2"},
    )
    agent = agent_of(does("chmod 000 d/a.txt d"))
    found = asyncio.run(evaluate(a_suite(task), [agent], evaluations=evaluations))
    assert found.outcomes[0].ending is Ending.WRONG


def test_attempts_share_nothing_and_the_suite_s_own_folder_is_left_alone(
    agent_of: AgentOf, evaluations: EvaluationStore, tmp_path: Path
) -> None:
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "n.txt").write_text("")
    task = a_task(
        folder=tmp_path,
        tools=["shell"],
        workspace="start",
        verifier={"kind": "number", "expected": 1},
    )
    agent = agent_of(does("echo more >> n.txt; wc -l < n.txt"))
    found = asyncio.run(evaluate(a_suite(task), [agent], attempts=3, evaluations=evaluations))
    assert [one.passed for one in found.outcomes] == [True] * 3
    assert (tmp_path / "start" / "n.txt").read_text() == ""
    assert found.path is not None
    assert [one.name for one in found.path.iterdir()] == [LOG_NAME]


def test_limits_are_the_task_s_own_and_reaching_one_is_no_pass(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    def answer(_: Request) -> Any:
        return [("list_files", {})]

    task = a_task(
        tools=["list_files"], limits={"max_steps": 2}, verifier={"kind": "regex", "pattern": ""}
    )
    found = asyncio.run(evaluate(a_suite(task), [agent_of(answer)], evaluations=evaluations))
    (one,) = found.outcomes
    assert (one.ending, one.steps, one.value) == (Ending.LIMIT, 2, 0.0)
    assert "limit of 2 steps" in one.detail


def test_no_more_attempts_are_made_at_once_than_there_are_jobs(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    now, most = 0, 0

    async def answer(_: Request) -> str:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        for _turn in range(20):
            await asyncio.sleep(0)
        now -= 1
        return "42"

    suite = a_suite(*(a_task(f"sums/{i}") for i in range(12)))
    asyncio.run(evaluate(suite, [agent_of(answer)], jobs=3, evaluations=evaluations))
    assert 2 <= most <= 3


def test_a_budget_for_all_ends_it_and_what_was_cut_short_is_no_outcome(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    suite = a_suite(*(a_task(f"sums/{i}") for i in range(6)))
    ledger = Ledger(Budgets(steps=3, tool_calls=None, wall_seconds=None))
    agent = agent_of(Counting())
    found = asyncio.run(evaluate(suite, [agent], jobs=1, within=ledger, evaluations=evaluations))
    assert [one.passed for one in found.outcomes] == [True] * 3
    assert not found.is_complete
    rest = asyncio.run(evaluate(suite, [agent], resume=found.plan.id, evaluations=evaluations))
    assert rest.is_complete


def test_an_attempt_that_was_cut_short_is_made_anew(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    def in_two_steps(request: Request) -> Answer:
        return "42" if request.messages[-1].role is Role.TOOL else [("shell", {"command": "true"})]

    suite = a_suite(*(a_task(f"sums/{i}") for i in range(2)))
    ledger = Ledger(Budgets(steps=3, tool_calls=None, wall_seconds=None))
    agent = agent_of(in_two_steps)
    found = asyncio.run(evaluate(suite, [agent], jobs=1, within=ledger, evaluations=evaluations))
    assert len(found.outcomes) == 1
    rest = asyncio.run(evaluate(suite, [agent], resume=found.plan.id, evaluations=evaluations))
    assert [one.passed for one in rest.outcomes] == [True, True]


@pytest.mark.parametrize(
    "scaling", [Scaling(samples=2, select="vote"), Scaling(samples=2, select="steps")], ids=str
)
def test_samples_are_charged_to_the_budget_for_all(
    scaling: Scaling, agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    suite = a_suite(*(a_task(f"sums/{i}") for i in range(4)))
    ledger = Ledger(Budgets(steps=5, tool_calls=None, wall_seconds=None))
    agent = agent_of(Counting())
    found = asyncio.run(
        evaluate(suite, [agent], jobs=1, scaling=scaling, within=ledger, evaluations=evaluations)
    )
    assert ledger.used.steps == 5
    assert [one.steps for one in found.outcomes] == [2, 2], "half of the third was cut short"
    assert not found.is_complete


def test_samples_are_voted_on_and_count_as_one_attempt(
    agent_of: AgentOf, evaluations: EvaluationStore, store: RunStore
) -> None:
    agent = agent_of(Counting("41", "42", "42"))
    scaling = Scaling(samples=3, select="vote")
    found = asyncio.run(
        evaluate(a_suite(a_task()), [agent], scaling=scaling, evaluations=evaluations)
    )
    (one,) = found.outcomes
    assert (one.passed, one.steps) == (True, 3)
    assert len(store.ids()) == 3
    events = store.load(one.run_id).events
    assert [event.value for event in events if isinstance(event, Rewarded)] == [1.0]


def test_an_attempt_with_rounds_of_criticism_is_graded_by_the_task_alone(
    agent_of: AgentOf, evaluations: EvaluationStore, store: RunStore
) -> None:
    marks = iter([0, 1])

    def critic(_: Request) -> str:
        named = {"name": "sure", "met": next(marks), "why": "It is no number."}
        return json.dumps({"criteria": [named]})

    judge = RubricJudge(model=FunctionModel(critic), rubric=Rubric.parse("- sure: it is a number"))
    scaling = Scaling(rounds=2, judge=judge)
    agent = agent_of(Counting("many", "42"))
    found = asyncio.run(
        evaluate(a_suite(a_task()), [agent], scaling=scaling, evaluations=evaluations)
    )
    (one,) = found.outcomes
    assert (one.passed, one.steps) == (True, 2)
    assert report(found)["scaling"] == {"rounds": 2}
    said = [e for run in store.ids() for e in store.load(run).events if isinstance(e, Rewarded)]
    assert [(event.source, event.value) for event in said] == [("number", 1.0)]


def test_seeds_count_up_with_attempts_and_local_models_are_sampled(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    seen: list[tuple[int | None, float | None]] = []

    def answer(request: Request) -> str:
        seen.append((request.sampling.seed, request.sampling.temperature))
        return "42"

    suite, agent = a_suite(a_task()), agent_of(answer)
    asyncio.run(evaluate(suite, [agent], attempts=2, jobs=1, seed=7, evaluations=evaluations))
    asyncio.run(evaluate(suite, [agent], attempts=1, evaluations=evaluations))
    assert seen == [(7, 1.0), (8, 1.0), (None, None)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"verifier": {"kind": "exat"}},
            "The task sums/1: There is no verifier of the kind 'exat'",
        ),
        ({"verifier": []}, "The task sums/1 has no verifier"),
        ({"verifier": {"kind": "number"}}, "The task sums/1: "),
        (
            {"verifier": {"kind": "json", "schema": {"$ref": "http://127.0.0.1:9/x"}}},
            "The task sums/1: The task's schema cannot be used: it refers to",
        ),
        (
            {"tools": ["shel"]},
            "the tool 'shel', which function has not. Did you mean 'shell'",
        ),
    ],
    ids=["unknown", "none", "incomplete", "schema", "tool"],
)
def test_what_cannot_be_graded_or_attempted_is_named_before_anything_is_asked(
    agent_of: AgentOf, evaluations: EvaluationStore, change: dict[str, Any], said: str
) -> None:
    asked = Counting()
    with pytest.raises(ConfigurationError, match=said):
        asyncio.run(evaluate(a_suite(a_task(**change)), [agent_of(asked)], evaluations=evaluations))
    assert (asked.asked, evaluations.ids()) == (0, [])


def test_the_check_of_a_task_may_not_choose_the_sample_that_it_measures(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    with pytest.raises(ConfigurationError, match="no such answer key"):
        Scaling(samples=2, select="verifier")
    scaling = Scaling(samples=2, select="reward")
    found = asyncio.run(
        evaluate(
            a_suite(a_task()),
            [agent_of(Counting("41", "42"))],
            scaling=scaling,
            evaluations=evaluations,
        )
    )
    assert [one.ending for one in found.outcomes] == [Ending.WRONG]  # the first of equals


UNSOUND = """
class Unnotable(Exception):
    def __setattr__(self, name, value):
        raise AttributeError(name)

class Unsound:
    name, version = "unsound", "1"
    async def grade(self, attempt):
        raise Unnotable
"""


@pytest.fixture
def unsound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with a verifier that breaks, by an exception nothing can be noted on."""
    about = tmp_path / "site" / "unsound-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: unsound\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[wardian.verifiers]\nunsound = unsound:Unsound\n")
    (tmp_path / "site" / "unsound.py").write_text(UNSOUND)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    offered.cache_clear()
    yield
    offered.cache_clear()


@pytest.mark.usefixtures("unsound")
@pytest.mark.parametrize(
    "table",
    [{"kind": "unsound"}, {"kind": "all", "of": [{"kind": "unsound"}] * 2}],
    ids=["alone", "several"],
)
def test_a_verifier_that_breaks_is_one_attempt_s_error_and_the_others_are_graded(
    agent_of: AgentOf, evaluations: EvaluationStore, table: dict[str, Any]
) -> None:
    suite = a_suite(a_task(verifier=table), a_task("sums/2"))
    found = asyncio.run(evaluate(suite, [agent_of(Counting())], evaluations=evaluations))
    assert {one.task: one.ending for one in found.outcomes} == {
        "sums/1": Ending.ERROR,
        "sums/2": Ending.PASSED,
    }
    assert "The verifier Unsound broke: Unnotable()." in found.errors[0].detail


def test_an_agent_that_keeps_no_runs_cannot_be_evaluated(
    evaluations: EvaluationStore, agent_of: AgentOf
) -> None:
    agent = agent_of(Counting())
    agent.store = None
    with pytest.raises(ConfigurationError, match="keeps none"):
        asyncio.run(evaluate(a_suite(a_task()), [agent], evaluations=evaluations))
