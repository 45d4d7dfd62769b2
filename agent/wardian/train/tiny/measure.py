"""How many held-out tasks a network solves, without llama.cpp: real tools, greedy writing."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wardian.evals.suites.tiny.natural import natural_problems
from wardian.train.tiny.checks import is_solved
from wardian.train.tiny.data import held_out
from wardian.train.tiny.execution import Workshop
from wardian.train.tiny.generate import attempt
from wardian.train.tiny.network import TinyNetwork
from wardian.train.tiny.tokenizer import TinyTokenizer


@dataclass(frozen=True, slots=True)
class Score:
    """Of one family."""

    solved: int
    tasks: int


def measure(
    network: TinyNetwork, tokenizer: TinyTokenizer, seed: int, workspace: Path
) -> dict[str, Score]:
    """Scores of the held-out families, and of the requests written by hand."""

    async def run() -> dict[str, Score]:
        shop = await Workshop.open(workspace)
        solved: Counter[str] = Counter()
        tasks: Counter[str] = Counter()
        try:
            for problem in [*held_out(seed), *natural_problems()]:
                tasks[problem.family] += 1
                episode = await attempt(network, tokenizer, shop, problem)
                solved[problem.family] += is_solved(problem, episode)
        finally:
            await shop.close()
        return {family: Score(solved[family], tasks[family]) for family in tasks}

    return asyncio.run(run())


def report(scores: Mapping[str, Score]) -> str:
    """One line a family."""
    held = [s for family, s in scores.items() if family != "natural"]
    total = Score(sum(s.solved for s in held), sum(s.tasks for s in held))
    rows = [*scores.items(), *([("all held-out", total)] if held else [])]
    return "\n".join(
        f"{family:14}{s.solved:4} of {s.tasks:4}  {s.solved / s.tasks:6.1%}" for family, s in rows
    )
