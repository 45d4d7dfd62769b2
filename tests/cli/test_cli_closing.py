"""The lines at a run's end: what it took with its sub-agents, and what could not be counted."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wardian.cli.closing import closing_lines, figures, unpriced
from wardian.cli.outcome import Outcome
from wardian.cli.terminal import terminal
from wardian.events import RunFinished, RunStarted
from wardian.types import Stop, Task, Usage

FINISHED = RunFinished(
    stop=Stop.DONE,
    answer="x",
    steps=2,
    tool_calls=1,
    usage=Usage(prompt_tokens=10, completion_tokens=5),
    seconds=1.0,
    spent={"steps": 2, "tool_calls": 1, "tokens": 15, "seconds": 1.0},
)


def started(*, is_local: bool, limit: float | None) -> RunStarted:
    model: dict[str, Any] = {"name": "openai/x", "is_local": is_local}
    return RunStarted(
        run_id="r",
        task=Task(prompt="x"),
        system_prompt="",
        model=model,
        tools=(),
        policy={"budgets": {"cost_usd": limit}},
        sandbox={},
        workspace="/w",
        wardian_version="0",
    )


def test_what_sub_agents_took_is_told_beside_the_runs_own() -> None:
    with_child = replace(FINISHED, spent={"steps": 5, "tokens": 1234, "cost_usd": 0.5})
    assert figures(FINISHED) == ["2 steps", "1 tool call", "15 tokens", "1.0 s"]
    assert figures(with_child)[-1] == "in all 5 steps, 1,234 tokens, $0.5000"


@pytest.mark.parametrize(
    ("is_local", "limit", "cost", "is_said"),
    [
        (False, 1.0, None, True),
        (False, 1.0, 0.1, False),
        (True, 1.0, None, False),
        (False, None, None, False),
    ],
    ids=["unknown", "known", "local", "unlimited"],
)
def test_a_budget_of_money_that_could_not_be_kept_is_said(
    is_local: bool, limit: float | None, cost: float | None, is_said: bool
) -> None:
    finished = replace(FINISHED, usage=replace(FINISHED.usage, cost_usd=cost))
    outcome = Outcome(started=started(is_local=is_local, limit=limit), finished=finished)
    assert bool(unpriced(outcome)) == is_said


@pytest.mark.parametrize("settings", [{}, {"imported": {"row": 1}}], ids=["ours", "imported"])
def test_only_a_run_that_can_go_on_says_how(settings: dict[str, Any]) -> None:
    begun = replace(started(is_local=True, limit=None), settings=settings)
    lines = closing_lines(Outcome(started=begun, path=Path("/r")), terminal(sys.stdout))
    assert ("go on with: agent resume r" in lines) is not bool(settings)
