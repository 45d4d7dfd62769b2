"""Eight samples of one task side by side, against as many runs one after the other.

python -P bench/scaling.py [samples]

By the built-in model, each run in a box and with a log of its own, at temperature 1. Processor
seconds are of this process and of those that it started, the engine among them.
"""

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from wardian import Agent, RunStore
from wardian.results import RunResult
from wardian.scale.attempts import attempts
from wardian.types import Sampling

SAMPLES = 8
TASK = "How many lines are in a.txt?"
Way = Callable[[Path, int], Awaitable[list[RunResult[str]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of some runs."""

    wall_seconds: float
    processor_seconds: float
    prompt_tokens: int
    cached_tokens: int
    """Of the prompts, those that were not evaluated again"""


def processor_seconds() -> float:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, who))


async def measured(way: Way, folder: Path, samples: int) -> Cost:
    before, began = processor_seconds(), time.monotonic()
    results = await way(folder, samples)
    return Cost(
        wall_seconds=time.monotonic() - began,
        processor_seconds=processor_seconds() - before,
        prompt_tokens=sum(one.usage.prompt_tokens for one in results),
        cached_tokens=sum(one.usage.cached_tokens for one in results),
    )


def agent_in(folder: Path) -> Agent[str]:
    return Agent(
        "tiny",
        workspace=folder / "work",
        store=RunStore(folder / "runs"),
        sampling=Sampling(temperature=1.0, seed=1),
    )


async def side_by_side(folder: Path, samples: int) -> list[RunResult[str]]:
    async with (
        agent_in(folder) as agent,
        attempts(agent, TASK, samples, parallel=samples) as group,
    ):
        return [one.result for one in group.candidates if one.result]


async def one_agent(folder: Path, samples: int) -> list[RunResult[str]]:
    """One after the other, by an agent whose model stays loaded."""
    async with agent_in(folder) as agent:
        return [await agent.run(TASK) for _ in range(samples)]


async def an_agent_each(folder: Path, samples: int) -> list[RunResult[str]]:
    """One after the other, each loading the model: as many `agent run`, but for Python's start."""
    return [result for _ in range(samples) for result in await one_agent(folder, 1)]


def main() -> None:
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    ways = {
        f"{samples} samples side by side": side_by_side,
        f"{samples} runs, one agent": one_agent,
        f"{samples} runs, an agent each": an_agent_each,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        (folder / "work" / "a.txt").write_text("one\ntwo\nthree\n")
        asyncio.run(one_agent(folder, 1))  # imports, and files in the page cache
        costs = {how: asyncio.run(measured(way, folder, samples)) for how, way in ways.items()}
    first = next(iter(costs.values()))
    for how, cost in costs.items():
        new = cost.prompt_tokens - cost.cached_tokens
        print(
            f"{how}: {samples / cost.wall_seconds:.2f} a second, {cost.wall_seconds:.1f} s"
            f" ({cost.wall_seconds / first.wall_seconds:.1f}x), {cost.processor_seconds:.1f}"
            f" processor seconds ({cost.processor_seconds / first.processor_seconds:.1f}x),"
            f" {new} of {cost.prompt_tokens} prompt tokens evaluated"
        )


if __name__ == "__main__":
    main()
