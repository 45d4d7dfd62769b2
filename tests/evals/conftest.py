"""Suites and agents for tests of evaluations: real runs, real boxes, models that are functions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent
from wardian.evals.storing import EvaluationStore
from wardian.models.function import FunctionModel
from wardian.runs import RunStore
from wardian.types import Request

Ask = Callable[[Request], Any]


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture
def evaluations(tmp_path: Path) -> EvaluationStore:
    return EvaluationStore(tmp_path / "evaluations")


@pytest.fixture
def agent_of(store: RunStore) -> Callable[..., Agent[Any]]:
    """`agent_of(function, name=…)`"""

    def making(function: Ask, name: str = "function", **options: Any) -> Agent[Any]:
        return Agent(FunctionModel(function, name=name), store=store, **options)

    return making
