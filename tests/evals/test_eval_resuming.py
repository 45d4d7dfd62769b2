"""Evaluations that were stopped, broke, or met errors: what goes on, and what is asked again."""

import asyncio
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.evals.small import AgentOf, Counting, Stopping, a_suite, a_task, writes

from wardian.cli.eval_work import exit_code_of
from wardian.errors import (
    ConfigurationError,
    ContextOverflow,
    ExitCode,
    ModelUnavailable,
    StorageError,
)
from wardian.evals.evaluate import evaluate
from wardian.evals.outcomes import Ending, Outcome
from wardian.evals.storing import LOG_NAME, WORK_NAME, EvaluationStore
from wardian.runs import RunStore
from wardian.types import Request


def test_a_stopped_evaluation_goes_on_and_asks_nothing_twice(
    agent_of: AgentOf, store: RunStore, evaluations: EvaluationStore
) -> None:
    suite = a_suite(*(a_task(f"sums/{i}") for i in range(4)))
    asked = Counting()
    agent = agent_of(asked)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(evaluate(suite, [agent], jobs=1, evaluations=evaluations, watcher=Stopping(2)))
    (identity,) = evaluations.ids()
    before = evaluations.load(identity)
    assert (len(before.outcomes), asked.asked) == (2, 2)
    found = asyncio.run(evaluate(suite, [agent], resume=identity, evaluations=evaluations))
    assert found.is_complete
    assert asked.asked == 4
    assert found.outcomes[:2] == before.outcomes
    assert len(store.ids()) == 4


def test_a_run_that_was_over_and_not_graded_is_graded_and_not_asked_again(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    """As a kill between the run's last event and its outcome leaves it."""
    task = a_task(
        tools=["write_file"],
        protected=["keep.txt"],
        files={"keep.txt": "1"},
        verifier={"kind": "files", "files": [{"path": "out.txt", "text": "1"}]},
    )
    agent = agent_of(writes("out.txt", "1"))
    whole = asyncio.run(evaluate(a_suite(task), [agent], evaluations=evaluations))
    assert whole.path is not None
    log = whole.path / LOG_NAME
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]) + b'{"kind": "outc')
    place = whole.path / WORK_NAME / whole.outcomes[0].run_id
    place.mkdir(parents=True)
    (place / "keep.txt").write_text("1")
    (place / "out.txt").write_text("1")
    refusing = agent_of(lambda _: ModelUnavailable("nobody is to be asked"))
    found = asyncio.run(
        evaluate(a_suite(task), [refusing], resume=whole.plan.id, evaluations=evaluations)
    )
    assert found.outcomes == whole.outcomes
    assert list(whole.path.iterdir()) == [log]


def test_an_evaluation_goes_on_only_as_what_it_was(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    agent = agent_of(Counting())
    whole = asyncio.run(evaluate(a_suite(a_task()), [agent], evaluations=evaluations))
    other = a_suite(a_task(prompt="What is 7 * 6?"))
    with pytest.raises(ConfigurationError, match="the tasks of its suite changed"):
        asyncio.run(evaluate(other, [agent], resume=whole.plan.id, evaluations=evaluations))


def test_an_error_before_there_was_a_run_is_read_back_as_it_was_written() -> None:
    outcome = Outcome(
        model="m",
        task="a/1",
        family="a",
        split="test",
        attempt=0,
        ending=Ending.ERROR,
        detail="Why.",
    )
    written = json.loads(json.dumps(outcome.as_json()))
    assert "run_id" not in written
    assert TypeAdapter(Outcome).validate_python(written) == outcome


def test_errors_count_neither_way_and_are_tried_again_when_asked(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    suite = a_suite(a_task("sums/1"), a_task("sums/2"))
    asked = Counting("42", ModelUnavailable("The server is down."), "42")
    agent = agent_of(asked)
    first = asyncio.run(evaluate(suite, [agent], jobs=1, evaluations=evaluations))
    assert [one.ending for one in first.outcomes] == [Ending.PASSED, Ending.ERROR]
    assert first.outcomes[1].detail == "The server is down."
    assert not first.is_complete
    kept = asyncio.run(evaluate(suite, [agent], resume=first.plan.id, evaluations=evaluations))
    assert asked.asked == 2
    assert kept.errors == first.errors
    again = asyncio.run(
        evaluate(suite, [agent], resume=first.plan.id, retry_errors=True, evaluations=evaluations)
    )
    assert asked.asked == 3
    assert again.is_complete
    assert evaluations.load(first.plan.id).is_complete


def test_where_the_grader_broke_the_run_is_graded_again_without_asking(
    agent_of: AgentOf, evaluations: EvaluationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = a_task(hidden={"zebra.txt": "x"})
    asked = Counting()
    agent = agent_of(asked)
    real = Path.write_text

    def failing(path: Path, text: str, **more: Any) -> int:
        if path.name == "zebra.txt":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, text, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", failing)
        first = asyncio.run(evaluate(a_suite(task), [agent], evaluations=evaluations))
    assert first.outcomes[0].ending is Ending.ERROR
    assert "grader" in first.outcomes[0].detail
    assert first.outcomes[0].broke == "grader"
    assert exit_code_of(first) == ExitCode.NOT_ACHIEVED
    again = asyncio.run(
        evaluate(
            a_suite(task), [agent], resume=first.plan.id, retry_errors=True, evaluations=evaluations
        )
    )
    assert again.outcomes[0].passed
    assert again.outcomes[0].run_id == first.outcomes[0].run_id
    assert asked.asked == 1


def test_a_model_that_never_answers_is_left_out_and_the_others_go_on(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    suite = a_suite(*(a_task(f"sums/{i}") for i in range(8)))
    broken = Counting(ModelUnavailable("No such model."))
    agents = [agent_of(broken, name="broken"), agent_of(Counting(), name="good")]
    found = asyncio.run(evaluate(suite, agents, jobs=1, evaluations=evaluations))
    assert broken.asked == 3
    assert [one.broke for one in found.of("broken")] == ["model"] * 3
    assert exit_code_of(found) == ExitCode.MODEL
    assert sum(one.passed for one in found.of("good")) == 8


def test_a_conversation_too_long_for_the_model_is_its_own_failure(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    agent = agent_of(lambda _: ContextOverflow("It does not fit."))
    found = asyncio.run(evaluate(a_suite(a_task()), [agent], evaluations=evaluations))
    assert (found.outcomes[0].ending, found.outcomes[0].value) == (Ending.CONTEXT, 0.0)
    assert found.is_complete


def test_a_full_disk_stops_it_and_what_was_found_is_kept(
    agent_of: AgentOf, evaluations: EvaluationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = a_suite(*(a_task(f"sums/{i}") for i in range(3)))
    real, seen = os.write, [0]

    def failing(descriptor: int, content: bytes) -> int:
        if content.startswith(b'{"kind": "outcome"'):
            seen[0] += 1
            if seen[0] == 2:
                real(descriptor, content[:20])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, content)

    agent = agent_of(Counting())
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing)
        with pytest.raises(StorageError, match="No space left") as problem:
            asyncio.run(evaluate(suite, [agent], jobs=1, evaluations=evaluations))
    assert "--resume" in problem.value.remedy
    (identity,) = evaluations.ids()
    assert len(evaluations.load(identity).outcomes) == 1
    found = asyncio.run(evaluate(suite, [agent], resume=identity, evaluations=evaluations))
    assert found.is_complete


def test_two_cannot_go_on_with_one_evaluation_at_once(
    agent_of: AgentOf, evaluations: EvaluationStore
) -> None:
    suite = a_suite(a_task())

    async def both() -> None:
        entered, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_: Request) -> str:
            entered.set()
            await go_on.wait()
            return "42"

        first = asyncio.create_task(evaluate(suite, [agent_of(slow)], evaluations=evaluations))
        await entered.wait()
        (identity,) = evaluations.ids()
        with pytest.raises(StorageError, match="goes on in another process"):
            await evaluate(suite, [agent_of(Counting())], resume=identity, evaluations=evaluations)
        go_on.set()
        assert (await first).is_complete

    asyncio.run(both())
