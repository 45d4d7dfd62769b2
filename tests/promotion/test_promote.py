"""Promotion with real runs: what is put in service, what is kept, and what stays as it was."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent
from wardian.budget import Ledger
from wardian.errors import ConfigurationError
from wardian.evals.storing import EvaluationStore
from wardian.models.choices import Choice, Choices
from wardian.models.function import FunctionModel
from wardian.models.registry import Registered, Registry
from wardian.promotion import Trial, Verdict, promote
from wardian.promotion.promote import Places
from wardian.runs import RunStore
from wardian.types import Request
from wardian_policies.types import Budgets

TASKS = 6


@pytest.fixture
def suite(tmp_path: Path) -> str:
    """Held-out sums, the answer to each is 42; and one task of another split."""
    rows: list[dict[str, Any]] = [
        {
            "id": f"sums/{n}",
            "prompt": f"What is {n} * 7?",
            "tools": [],
            "split": "test" if n < TASKS else "train",
            "verifier": {"kind": "number", "expected": 42},
        }
        for n in range(TASKS + 1)
    ]
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    models = tmp_path / "models"
    choices = Choices(tmp_path / "config.toml", models)
    choices.use("local:old")
    file = tmp_path / "some.gguf"
    file.write_bytes(b"GGUF")
    own = Registry(models)
    own.add(Registered(name="new", sha256="0" * 64), file)
    return Places(
        choices=choices,
        registry=own,
        evaluations=EvaluationStore(tmp_path / "evaluations"),
        decisions=tmp_path / "decisions",
    )


class Models:
    """Agents whose models always give the same answer, and how often each was asked."""

    def __init__(self, store: RunStore, **answers: str) -> None:
        self.store = store
        self.answers = answers
        self.asked: dict[str, int] = dict.fromkeys(answers, 0)

    def __call__(self, spelling: str) -> Agent[Any]:
        name = spelling.removeprefix("local:")

        def answer(_: Request) -> str:
            self.asked[name] += 1
            return self.answers[name]

        return Agent(FunctionModel(answer, name=spelling), store=self.store)


@pytest.fixture
def models(tmp_path: Path) -> Callable[..., Models]:
    return lambda **answers: Models(RunStore(tmp_path / "runs"), **answers)


def decided(places: Places, models: Models, trial: Trial, **more: Any) -> Any:
    return asyncio.run(promote("local:new", trial, agents=models, places=places, **more))


def test_the_better_one_is_put_in_service_with_its_evidence(
    places: Places, models: Callable[..., Models], suite: str
) -> None:
    asked = models(old="41", new="42")
    decision = decided(places, asked, Trial(suite=suite, attempts=1))
    assert decision.verdict is Verdict.BETTER
    assert asked.asked == {"old": TASKS, "new": TASKS}, "the train split was left alone"
    assert places.choices.now() == Choice(model="local:new")
    change = places.choices.history()[-1]
    assert change.how == "promote"
    record = json.loads((places.decisions / f"{change.evidence['decision']}.json").read_text())
    assert record["suite"]["evaluation"] == places.evaluations.ids()[0]
    assert places.registry.get("new").lineage["promotions"][0]["verdict"] == "better"
    assert places.choices.roll_back().after.model == "local:old"


def test_the_worse_one_is_not_and_the_refusal_is_kept(
    places: Places, models: Callable[..., Models], suite: str
) -> None:
    decision = decided(places, models(old="42", new="41"), Trial(suite=suite, attempts=1))
    assert decision.verdict is Verdict.REGRESSION
    assert places.choices.now() == Choice(model="local:old")
    assert places.registry.get("new").lineage["promotions"][0]["verdict"] == "regression"


def test_a_dry_run_decides_and_changes_nothing_and_then_counts(
    places: Places, models: Callable[..., Models], suite: str
) -> None:
    asked = models(old="41", new="42")
    trial = Trial(suite=suite, attempts=1)
    assert decided(places, asked, trial, dry_run=True).verdict is Verdict.BETTER
    assert places.choices.now() == Choice(model="local:old")
    decided(places, asked, trial)
    assert places.choices.now() == Choice(model="local:new")
    assert asked.asked == {"old": TASKS, "new": TASKS}, "the same evidence, no second chance"


def test_the_guard_is_asked_too_and_its_loss_refuses(
    places: Places, models: Callable[..., Models], suite: str, tmp_path: Path
) -> None:
    guard = tmp_path / "guard.jsonl"
    guard.write_text(Path(suite).read_text().replace('"expected": 42', '"expected": 41'))
    decision = decided(
        places, models(old="41", new="42"), Trial(suite=suite, guard=str(guard), attempts=1)
    )
    assert decision.verdict is Verdict.REGRESSION
    assert decision.suite.is_gain
    assert places.choices.now() == Choice(model="local:old")


def test_within_a_budget_it_stays_undecided_and_the_same_call_goes_on(
    places: Places, models: Callable[..., Models], suite: str
) -> None:
    asked = models(old="41", new="42")
    trial = Trial(suite=suite, attempts=1, jobs=1)
    budget = Budgets(steps=5, tool_calls=None, cost_usd=None, wall_seconds=None)
    decision = decided(places, asked, trial, within=Ledger(budget))
    assert decision.verdict is Verdict.UNDECIDED
    assert places.choices.now() == Choice(model="local:old")
    assert sum(asked.asked.values()) <= 5
    assert decided(places, asked, trial).verdict is Verdict.BETTER
    assert sum(asked.asked.values()) <= 2 * TASKS + 1
    assert len(places.evaluations.ids()) == 1


def test_a_split_that_is_not_there_and_a_model_against_itself_are_said_before_anything_is_asked(
    places: Places, models: Callable[..., Models], suite: str
) -> None:
    asked = models(old="41", new="42")
    with pytest.raises(ConfigurationError, match="no tasks in the split dev, only in test, train"):
        decided(places, asked, Trial(suite=suite, split="dev"))
    with pytest.raises(ConfigurationError, match="nothing to decide"):
        decided(places, asked, Trial(suite=suite), against="local:new")
    assert not any(asked.asked.values())
