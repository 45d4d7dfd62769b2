"""What evaluating costs beside the runs themselves: attempts a second against bare runs.

python -P bench/evals.py [attempts]
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from wardian import Agent, FunctionModel, RunStore
from wardian.evals.curves import curve
from wardian.evals.evaluate import evaluate
from wardian.evals.outcomes import Ending, Outcome
from wardian.evals.statistics import permutation_test, tallies
from wardian.evals.storing import EvaluationStore
from wardian.evals.tasks import Suite, task_of
from wardian.types import Request, Role

ATTEMPTS = 100
JOBS = (1, 8)


def answer(request: Request) -> Any:
    """One call where there is a tool, then 42."""
    if request.tools and request.messages[-1].role is not Role.TOOL:
        return [("write_file", {"path": "out.txt", "content": "42"})]
    return "42"


def suite_of(kind: str) -> Suite:
    rows: dict[str, dict[str, Any]] = {
        "no tools": {"tools": [], "verifier": {"kind": "number", "expected": 42}},
        "one call": {
            "tools": ["write_file"],
            "verifier": {"kind": "files", "files": [{"path": "out.txt", "text": "42"}]},
        },
        "one call, checked by a command": {
            "tools": ["write_file"],
            "verifier": {"kind": "command", "command": "cat out.txt", "prints": "42"},
        },
    }
    row = {"id": "a/1", "prompt": "Go.", **rows[kind]}
    return Suite(name="bench", version="1", tasks=(task_of(row, folder=Path(), source="bench"),))


async def bare(root: Path, suite: Suite, attempts: int, jobs: int) -> None:
    """The same runs, each in a folder of its own, with nothing around them."""
    turns = asyncio.Semaphore(jobs)

    async def one(number: int) -> None:
        async with turns:
            place = root / str(number)
            place.mkdir()
            tools = list(suite.tasks[0].tools or ())
            store = RunStore(root / "runs")
            agent = Agent(FunctionModel(answer), tools=tools, workspace=place, store=store)
            await agent.run("Go.")

    await asyncio.gather(*(one(number) for number in range(attempts)))


def measured(attempts: int) -> None:
    with tempfile.TemporaryDirectory() as folder:  # what the first run loads is nobody's cost
        timed(lambda: bare(Path(folder), suite_of("one call"), 2, 1))
    print("| attempt | jobs | bare runs/s | attempts/s | CPU of a bare run | of an attempt |")
    print("|---|---|---|---|---|---|")
    for kind in ("no tools", "one call", "one call, checked by a command"):
        suite = suite_of(kind)
        for jobs in JOBS:
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder)
                before = timed(lambda r=root, s=suite, j=jobs: bare(r, s, attempts, j))
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder)
                agent = Agent(FunctionModel(answer), store=RunStore(root / "runs"))
                store = EvaluationStore(root / "evaluations")
                after = timed(
                    lambda s=suite, a=agent, j=jobs, e=store: evaluate(
                        s, [a], attempts=attempts, jobs=j, evaluations=e
                    )
                )
            print(
                f"| {kind} | {jobs} | {attempts / before[0]:.1f} | {attempts / after[0]:.1f}"
                f" | {1000 * before[1] / attempts:.1f} ms | {1000 * after[1] / attempts:.1f} ms |",
                flush=True,
            )


def timed(work: Any) -> tuple[float, float]:
    """Seconds, and CPU seconds with those of boxes that have ended."""
    began, times = time.perf_counter(), os.times()
    asyncio.run(work())
    now = os.times()
    return time.perf_counter() - began, sum(now[:4]) - sum(times[:4])


def figures() -> None:
    """The report's dearest parts, for 300 tasks of 8 attempts."""
    outcomes = [
        Outcome(
            model="m",
            task=f"t{task}",
            family="f",
            split="test",
            attempt=attempt,
            run_id="",
            ending=Ending.PASSED if (task * 7 + attempt * 3) % 5 else Ending.WRONG,
            answer=str((task + attempt) % 3),
        )
        for task in range(300)
        for attempt in range(8)
    ]
    found = tallies(outcomes)
    steps = [one.share - found[number - 1].share for number, one in enumerate(found)]
    began = time.perf_counter()
    permutation_test(steps)
    print(f"\npaired test over 300 tasks x 8: {time.perf_counter() - began:.2f} s")
    began = time.perf_counter()
    curve(outcomes)
    print(f"curve over 300 tasks x 8: {time.perf_counter() - began:.2f} s")


def main() -> None:
    measured(int(sys.argv[1]) if len(sys.argv) > 1 else ATTEMPTS)
    figures()


if __name__ == "__main__":
    main()
