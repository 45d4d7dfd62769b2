"""How many held-out tasks the built-in model solves through `Agent`: llama.cpp, policy, sandbox.

python -P bench/tiny_tasks.py                # 500 held-out tasks, and requests by hand
python -P bench/tiny_tasks.py --model gguf:other.gguf --tasks 100 --show
"""

import argparse
import asyncio
import json
import os
import tempfile
from collections import Counter
from pathlib import Path

from wardian import Agent
from wardian.errors import ModelError
from wardian.evals.suites.experts import Step
from wardian.evals.suites.tiny.natural import natural_problems
from wardian.evals.suites.tiny.problem import Problem
from wardian.models.catalogue import resolve_model
from wardian.train.tiny.checks import is_solved
from wardian.train.tiny.data import held_out
from wardian.train.tiny.execution import Episode, contents_of, fill
from wardian.train.tiny.measure import Score, report
from wardian.types import Model


async def attempt(model: Model, problem: Problem, folder: Path) -> tuple[Episode, str]:
    """One run of the agent in a folder of its own, and how it stopped."""
    fill(folder, problem.files)
    agent = Agent(
        model=model, workspace=folder, policy="default", sandbox="bubblewrap", store=False
    )
    try:
        result = await agent.run(problem.prompt)
    except ModelError as error:  # the context overflowed, as a user would see it too
        return Episode(calls=(), answer="", files={}), str(error)
    calls = tuple(
        (Step(name=call.name, arguments=call.arguments or {}), "")
        for message in result.messages
        for call in message.calls
    )
    files, folders = contents_of(folder)
    episode = Episode(calls=calls, answer=result.answer, files=files, folders=folders)
    return episode, f"{result.stop} {result.error}".strip()


async def run(options: argparse.Namespace) -> dict[str, Score]:
    model = resolve_model(options.model)
    solved: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    problems = [] if options.natural else held_out(options.seed)[: options.tasks]
    try:
        for problem in [*problems, *natural_problems()]:
            with tempfile.TemporaryDirectory(prefix="tiny-tasks-") as parent:
                Path(parent).chmod(0o755)
                episode, stop = await attempt(model, problem, Path(parent) / "workspace")
            right = stop == "done" and is_solved(problem, episode)
            tasks[problem.family] += 1
            solved[problem.family] += right
            if options.show and not right:
                print(f"{problem.family}: {problem.prompt!r} -> {episode.answer!r} ({stop})")
                print(f"    expected {problem.check.kind} {problem.check.value!r}")
                print("   ", *(json.dumps([s.name, s.arguments]) for s, _ in episode.calls))
    finally:
        await model.close()
    return {family: Score(solved[family], tasks[family]) for family in tasks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--natural", action="store_true", help="only the requests by hand")
    parser.add_argument("--show", action="store_true", help="print what failed")
    parser.add_argument("--json", type=Path, help="write the scores here")
    options = parser.parse_args()
    scores = asyncio.run(run(options))
    print(report(scores))
    if options.json:
        rows = {family: [s.solved, s.tasks] for family, s in scores.items()}
        options.json.write_text(json.dumps(rows, indent=1), "utf-8")


if __name__ == "__main__":
    os.environ.setdefault("WARDIAN_HOME", tempfile.mkdtemp(prefix="tiny-tasks-home-"))
    main()
