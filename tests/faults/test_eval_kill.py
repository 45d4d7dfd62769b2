"""A real SIGKILL at writes of an evaluation and of its runs: it goes on, and asks nothing twice.

A run whose last event is on disk had ended: resuming grades it if need be, and asks only the rest.
"""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wardian import Agent, FunctionModel, RunStore
from wardian.errors import StorageError
from wardian.evals.evaluate import evaluate
from wardian.evals.storing import EvaluationStore
from wardian.events import Rewarded
from wardian.types import Request

SUITE = """\
{"id": "sums/1", "prompt": "one", "tools": [], "verifier": {"kind": "exact", "expected": ["one"]}}
{"id": "sums/2", "prompt": "two", "tools": [], "verifier": {"kind": "exact", "expected": ["two"]}}
"""
CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from wardian import Agent, FunctionModel, RunStore
from wardian.evals.evaluate import evaluate
from wardian.evals.storing import EvaluationStore

k, half, root = int(sys.argv[1]), sys.argv[2] == "half", Path(sys.argv[3])
real, count = os.write, 0

def deadly(descriptor, content):
    global count
    if not content.startswith((b'{"seq"', b'{"kind"')):
        return real(descriptor, content)
    count += 1
    if count == k and half:
        real(descriptor, content[: len(content) // 2])
    if count == k:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(descriptor, content)

os.write = deadly
agent = Agent(
    FunctionModel(lambda request: request.messages[-1].content), store=RunStore(root / "runs")
)
store = EvaluationStore(root / "evaluations")
asyncio.run(evaluate(root / "s.jsonl", [agent], jobs=1, evaluations=store))
"""


def child(root: Path, k: int, kind: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(k), kind, str(root)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def ended(root: Path) -> set[str]:
    """Prompts of the runs that came to their end."""
    store = RunStore(root / "runs")
    runs = [store.load(one) for one in store.ids()]
    return {run.started.task.prompt for run in runs if run.started and run.finished}


def rewards_of(root: Path, run_id: str) -> list[Rewarded]:
    events = RunStore(root / "runs").load(run_id).events
    return [event for event in events if isinstance(event, Rewarded)]


@pytest.mark.parametrize(
    ("k", "torn"),
    # plan; then of each attempt: its name, header, question, end, reward, outcome
    [(k, False) for k in (1, 4, 6, 7, 13)] + [(k, True) for k in (5, 7)],
)
def test_killed_at_any_write_an_evaluation_goes_on_and_asks_nothing_twice(
    tmp_path: Path, k: int, torn: bool
) -> None:
    (tmp_path / "s.jsonl").write_text(SUITE)
    assert child(tmp_path, k, "half" if torn else "whole") == -signal.SIGKILL
    over, asked = ended(tmp_path), list[str]()

    def answer(request: Request) -> str:
        asked.append(request.messages[-1].content)
        return asked[-1]

    evaluations = EvaluationStore(tmp_path / "evaluations")
    agent = Agent(FunctionModel(answer), store=RunStore(tmp_path / "runs"))
    going = evaluate(tmp_path / "s.jsonl", [agent], resume="last", evaluations=evaluations)
    if k == 1:  # it died before there was a plan
        with pytest.raises(StorageError, match="has no plan"):
            asyncio.run(going)
        return
    found = asyncio.run(going)
    assert found.is_complete
    assert sum(one.passed for one in found.outcomes) == 2
    assert sorted([*asked, *over]) == ["one", "two"]
    rewards = [e for one in found.outcomes for e in rewards_of(tmp_path, one.run_id)]
    assert len(rewards) == 2
