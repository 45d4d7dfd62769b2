"""Several runs of one task side by side, each in a fork of the workspace, within one budget."""

import asyncio
import copy
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wardian.agent import Agent
from wardian.budget import Ledger
from wardian.errors import ConfigurationError, WardianError
from wardian.events import Recorded
from wardian.results import RunResult
from wardian.rewards.types import Attempt, Reward
from wardian.runs import new_run_id
from wardian.types import Sampling, Stop, Task
from wardian_policies.labels import FlowState
from wardian_policies.types import Budgets
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.forking import Fork
from wardian_sandbox.types import FileChange

MAX_SAMPLES = 1024
TEMPERATURES = (0.7, 1.0)
"""The lowest and the highest of a group, where nobody says: alike samples cannot outvote anything.
Source: Wang et al., "Self-Consistency Improves Chain of Thought Reasoning", arXiv:2203.11171."""


@dataclass(slots=True, kw_only=True)
class Candidate:
    """One attempt of a group."""

    index: int
    task: Task
    result: RunResult[Any] | None = None
    """None while it goes on, and where it broke"""
    error: str = ""
    """Why it broke, or was not needed any more"""
    reward: Reward | None = None
    fork: Fork | None = None
    """None where the agent has no tool that could look at the workspace"""

    @property
    def answer(self) -> str | None:
        """None when it came to none."""
        return self.result.answer if self.result is not None and self.result.ok else None

    def attempt(self, events: Sequence[Recorded] = ()) -> Attempt:
        """As verifiers take it."""
        return Attempt(
            task=self.task,
            answer=self.answer or "",
            events=tuple(events),
            workspace=self.fork.folder if self.fork else None,
            flow=self.result.flow if self.result else FlowState(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The attempts at one task."""

    id: str
    candidates: tuple[Candidate, ...]
    ledger: Ledger

    def finished(self) -> list[Candidate]:
        """Those that came to an answer, in order."""
        return [one for one in self.candidates if one.answer is not None]

    def adopt(self, winner: Candidate) -> tuple[FileChange, ...]:
        """Make the winner's changes to the workspace.

        Raises: SandboxError when the same file was changed there meanwhile.
        """
        return winner.fork.bring_back() if winner.fork else ()


Enough = Callable[[Sequence[Candidate]], bool]
"""Can those that have ended decide, whatever the others would come to?"""


def never(_: Sequence[Candidate]) -> bool:
    """All of them are waited for."""
    return False


@asynccontextmanager
async def attempts(
    agent: Agent[Any],
    task: str | Task,
    samples: int,
    *,
    parallel: int = 4,
    temperatures: Sequence[float] = TEMPERATURES,
    seed: int | None = None,
    select: str = "",
    enough: Enough = never,
    within: Ledger | None = None,
) -> AsyncGenerator[Group]:
    """The ended attempts of a group; their forks are there until the block is left.

    Temperatures are spread evenly from the first to the last of `temperatures`, unless the agent
    has its own; seeds count up from `seed`. At most `parallel` run at once. The agent's budgets of
    tokens, cost and time are for all of them together; each has its budgets of steps and calls.
    They draw on the budgets `within` too. Once `enough` says so those that go on are cancelled.
    Raises: ConfigurationError; whatever broke every one of them.
    """
    if not 1 <= samples <= MAX_SAMPLES:
        raise ConfigurationError(
            f"There cannot be {samples} samples.", f"Take between 1 and {MAX_SAMPLES}."
        )
    task = Task(prompt=task) if isinstance(task, str) else task
    ledger = Ledger(shared(agent.policy.budgets), parent=within)
    uses_files = any(tool.uses_sandbox for tool in agent.registry)
    with tempfile.TemporaryDirectory(prefix="wardian-group-") as folder:
        group = Group(
            id=new_run_id(),
            candidates=tuple(Candidate(index=index, task=task) for index in range(samples)),
            ledger=ledger,
        )
        turns = asyncio.Semaphore(parallel)

        async def make(candidate: Candidate) -> None:
            async with turns:
                if uses_files:
                    place = Path(folder) / str(candidate.index)
                    place.mkdir(mode=0o700)
                    candidate.fork = await asyncio.to_thread(Fork, agent.workspace, place)
                sampling = sampling_of(agent.sampling, candidate.index, samples, temperatures, seed)
                told = {"id": group.id, "index": candidate.index, "size": samples, "select": select}
                one = variant(agent, candidate, sampling, told)
                try:
                    candidate.result = await one.run(task, within=ledger)
                except (WardianError, SandboxError) as problem:
                    candidate.error = str(problem)

        await _until_enough([make(one) for one in group.candidates], group, enough)
        if all(one.result is None for one in group.candidates):
            raise WardianError(f"Every attempt broke; the first: {group.candidates[0].error}")
        yield group


async def _until_enough(work: Sequence[Any], group: Group, enough: Enough) -> None:
    running = [asyncio.ensure_future(one) for one in work]
    try:
        for ended in asyncio.as_completed(running):
            await ended
            if enough(group.finished()):
                break
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    for candidate in group.candidates:
        if candidate.result is None and not candidate.error:
            candidate.error = "It was not needed any more."


def variant(
    agent: Agent[Any], candidate: Candidate, sampling: Sampling, group: dict[str, Any]
) -> Agent[Any]:
    """The agent as it makes one attempt: the same but for where and how it samples."""
    one: Agent[Any] = copy.copy(agent)
    one.sampling = sampling
    one.group = group
    if candidate.fork:
        one.workspace = candidate.fork.folder
        one.workspace_mode = "mount"
    return one


def shared(budgets: Budgets) -> Budgets:
    """What all attempts have together: more of them are meant to take more steps."""
    return replace(budgets, steps=None, tool_calls=None)


def sampling_of(
    given: Sampling, index: int, samples: int, temperatures: Sequence[float], seed: int | None
) -> Sampling:
    """How one attempt samples; what the user chose stays."""
    temperature = given.temperature
    if temperature is None:
        low, high = temperatures[0], temperatures[-1]
        temperature = low + (high - low) * (index / (samples - 1) if samples > 1 else 0.0)
    first = given.seed if seed is None else seed
    chosen = None if first is None else first + index
    return replace(given, temperature=temperature, seed=chosen)


def failures(group: Group) -> dict[str, int]:
    """How many attempts ended in each way other than an answer."""
    counted: dict[str, int] = {}
    for one in group.candidates:
        stop = one.result.stop if one.result else None
        if stop is not Stop.DONE:
            why = str(stop) if stop else one.error
            counted[why] = counted.get(why, 0) + 1
    return counted
