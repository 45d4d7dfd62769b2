"""GRPO on tasks that data name: those that some attempts solved and others did not."""

import asyncio
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent
from wardian.data import Choice, Dataset, Goal, build
from wardian.data.rows import PromptRow
from wardian.errors import ConfigurationError
from wardian.evals.evaluate import evaluate
from wardian.evals.loading import load_suite
from wardian.evals.storing import EvaluationStore
from wardian.models.function import FunctionModel
from wardian.runs import RunStore
from wardian.train.measures import read_metrics
from wardian.train.recipe import Method, Recipe, recipe_of
from wardian.train.run import train
from wardian.train.tasks_to_try import load_tasks

SUMS = {"train": [(23, 45), (31, 67)], "dev": [(54, 12)]}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of real attempts: the first sum was right at every second, the other at all of them."""
    rows = [
        {
            "id": f"sums/{a}-{b}",
            "split": split,
            "prompt": f"What is {a} * {b}?",
            "verifier": {"kind": "number", "expected": a * b},
        }
        for split, sums in SUMS.items()
        for a, b in sums
    ]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    turns = count()

    def answer(request: Any) -> str:
        if "23 * 45" in str(request.messages[-1].content):
            return str(23 * 45 + next(turns) % 2)
        return str(31 * 67)

    store = RunStore(tmp_path / "runs")
    agent = Agent(FunctionModel(answer), store=store)
    suite = load_suite(tmp_path / "sums.jsonl", "train")
    evaluations = EvaluationStore(tmp_path / "evaluations")
    asyncio.run(evaluate(suite, [agent], attempts=2, jobs=1, evaluations=evaluations))
    monkeypatch.chdir(tmp_path)
    choice = Choice(goal=Goal.GRPO, suites=("sums.jsonl",))
    return build(store, store.ids(), choice, output=tmp_path / "grpo.jsonl").path


def recipe(data: Path, **more: Any) -> Recipe:
    given = {
        "base": "tiny",
        "data": str(data),
        "out": str(data.parent / "out"),
        "grpo.steps": 1,
        "grpo.tasks": 1,
        "grpo.attempts": 3,
        "grpo.temperature": 2.0,  # the built-in model is sure of itself; a group has to differ
        "grpo.max_reply_tokens": 60,
        "grpo.max_steps": 2,
        "training.learning_rate": 1e-4,
        "training.max_tokens": 1024,
        "dev.tasks": 0,
        "watch.flat_steps": 0,
    }
    return recipe_of(Method.GRPO, {**given, **more})


def test_a_model_is_trained_by_attempts_at_the_tasks_that_the_data_name(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = Dataset.open(data).rows(PromptRow)
    assert (row.task, row.solved, row.attempts) == ("sums/23-45", 0.5, 2)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # the suite was named from where the data lie
    done = train(recipe(data))
    assert done.facts["attempts"] == 3
    assert [row["step"] for row in read_metrics(done.out)] == [1]
    assert (done.model / "model.safetensors").is_file()
    tried = RunStore(done.out / "rollouts" / "step-000001" / "runs")
    prompts = {str(tried.load(run).started.task.prompt) for run in tried.ids()}  # type: ignore[union-attr]  # a run that was made has begun
    assert prompts == {"What is 23 * 45?"}


def test_data_whose_suite_has_changed_since_are_refused(data: Path, tmp_path: Path) -> None:
    suite = tmp_path / "sums.jsonl"
    suite.write_text(suite.read_text().replace("1035", "1036"))
    with pytest.raises(ConfigurationError, match=r"sums\.jsonl has changed since"):
        load_tasks(recipe(data))


def test_a_dev_task_of_the_suite_measures_what_data_train(data: Path) -> None:
    more = {"dev.suite": "sums.jsonl", "dev.tasks": 4}
    tasks = load_tasks(recipe(data, **more))
    assert [task.id for task in tasks.train] == ["sums/23-45"]
    assert [task.id for task in tasks.dev] == ["sums/54-12"]
