"""Self-refinement: try again with what a critic said, for as long as that makes it better.

Source: Madaan et al., "Self-Refine: Iterative Refinement with Self-Feedback", arXiv:2303.17651;
that a round can make it worse, and so the best is kept and not the last: Huang et al., "Large
Language Models Cannot Self-Correct Reasoning Yet", arXiv:2310.01798.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wardian.agent import Agent
from wardian.budget import Ledger
from wardian.errors import ConfigurationError, WardianError
from wardian.rewards.guard import graded_by
from wardian.rewards.judge import RubricJudge
from wardian.rewards.types import GradingFailed, Reward
from wardian.runs import new_run_id
from wardian.scale.attempts import Candidate, Group, shared, variant
from wardian.scale.best_of import events_of, worth
from wardian.scale.comparing import note_rewards
from wardian.scale.vote import Chosen
from wardian.types import Message, Task
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.forking import Fork

MAX_ROUNDS = 32
LEAST_GAIN = 1e-6
AGAIN = """\
A reviewer looked at your answer and found this wanting:
{faults}
Do the task again, keeping what was right. Answer in full: this answer replaces the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refined:
    """What rounds of criticism came to."""

    best: Candidate | None
    """None when the first attempt came to no answer"""
    group: Group
    stopped: str
    """Why no further round was made, in a sentence"""


async def refine(
    agent: Agent[Any],
    task: str | Task,
    rounds: int,
    critic: RubricJudge,
    *,
    first: Chosen | None = None,
    notes: bool = True,
    within: Ledger | None = None,
) -> Refined:
    """At most `rounds` further attempts after the first; the best one's changes are made.

    Each goes on from the best one's conversation, in a fork of its workspace. It ends early when
    the critic is content or fails, or a round breaks or did not make it better. `first` is what
    `vote` or `best_of` chose of this task, to go on from, within its group and its budgets; else it
    draws on those `within` too. With `notes` each run's log is told its reward; who grades them
    anew leaves it.
    Raises: ConfigurationError; as `Agent.run`, of the first attempt; SandboxError.
    """
    if not 0 <= rounds <= MAX_ROUNDS:
        raise ConfigurationError(
            f"There cannot be {rounds} rounds.", f"Take between 0 and {MAX_ROUNDS}."
        )
    task = Task(prompt=task) if isinstance(task, str) else task
    with tempfile.TemporaryDirectory(prefix="wardian-rounds-") as folder:
        work = _Rounds(agent, task, critic, Path(folder), rounds, first, within)
        best = await (work.go_on_from(first) if first else work.attempt((), task, None))
        stopped = why_uncriticised(best)
        while not stopped and work.rounds < rounds:
            if worth(best) >= 1:
                stopped = "The critic found nothing wanting."
                break
            said = AGAIN.format(faults=faults_of(best.reward))
            again = Task(prompt=said, output_schema=task.output_schema)
            assert best.result is not None
            new = await work.attempt(best.result.messages, again, best)
            stopped = why_no_better(new, best)
            best = best if stopped else new
        found = best if best.answer is not None else None
        if found:
            await asyncio.to_thread(work.adopt, found)
        if notes:
            await note_rewards(agent, work.graded)
        stopped = stopped or "All rounds were made."
        return Refined(best=found, group=work.group(), stopped=stopped)


class _Rounds:
    """The attempts so far, each in a fork of the one it goes on from."""

    def __init__(
        self,
        agent: Agent[Any],
        task: Task,
        critic: RubricJudge,
        folder: Path,
        most: int,
        first: Chosen | None,
        within: Ledger | None,
    ) -> None:
        self._agent = agent
        self._task = task
        self._critic = critic
        self._folder = folder
        self._id = first.group.id if first else new_run_id()
        self._ledger = (
            first.group.ledger if first else Ledger(shared(agent.policy.budgets), parent=within)
        )
        self._uses_files = any(tool.uses_sandbox for tool in agent.registry)
        self._before: dict[int, Candidate | None] = {}
        self._made = list(first.group.candidates) if first else []
        self._before_rounds = len(self._made) or 1
        self._most = self._before_rounds + most
        self.graded: list[Candidate] = []
        """By the critic, here"""

    @property
    def rounds(self) -> int:
        """How many were made after what there was to criticise."""
        return len(self._made) - self._before_rounds

    def group(self) -> Group:
        return Group(id=self._id, candidates=tuple(self._made), ledger=self._ledger)

    async def go_on_from(self, chosen: Chosen) -> Candidate:
        """The winner, whose changes are in the workspace, graded by the critic."""
        if chosen.winner is None:
            return self._made[0]
        winner = replace(chosen.winner, fork=None)
        self._made[winner.index] = winner
        if winner.reward is None or winner.reward.source != self._critic.name:
            await self._grade(winner)
        return winner

    async def _grade(self, candidate: Candidate) -> None:
        """What it is worth to the critic, or why that cannot be said: the answer stands."""
        try:
            attempt = candidate.attempt(events_of(self._agent, candidate))
            candidate.reward = await graded_by(self._critic, attempt)
            self.graded.append(candidate)
        except GradingFailed as problem:
            candidate.error = str(problem)

    async def attempt(
        self, earlier: Sequence[Message], task: Task, before: Candidate | None
    ) -> Candidate:
        """One more, graded if it came to an answer. Raises: what broke it, if it is the first."""
        candidate = Candidate(index=len(self._made), task=self._task)
        self._made.append(candidate)
        self._before[candidate.index] = before
        if self._uses_files:
            place = self._folder / str(candidate.index)
            place.mkdir(mode=0o700)
            source = before.fork.folder if before and before.fork else self._agent.workspace
            candidate.fork = await asyncio.to_thread(Fork, source, place)
        told = {"id": self._id, "index": candidate.index, "size": self._most, "select": "refine"}
        one = variant(self._agent, candidate, self._agent.sampling, told)
        try:
            candidate.result = await one.run(task, earlier=earlier, within=self._ledger)
        except (WardianError, SandboxError) as problem:
            if before is None:
                raise
            candidate.error = str(problem)
        if candidate.answer is not None:
            await self._grade(candidate)
        return candidate

    def adopt(self, best: Candidate) -> None:
        """Its changes, and those of what it goes on from, back to the workspace."""
        one: Candidate | None = best
        while one is not None:
            if one.fork:
                one.fork.bring_back()
            one = self._before.get(one.index)


def why_uncriticised(candidate: Candidate) -> str:
    """Why nothing can be done about this attempt; empty where something can."""
    if candidate.answer is None:
        return "There was no answer to criticise."
    return "" if candidate.reward else f"The critic is of no use: {candidate.error}"


def why_no_better(new: Candidate, best: Candidate) -> str:
    """Why the best one stays the best; empty where the new one is."""
    if new.result is None:
        return f"A further round broke: {new.error}"
    if new.answer is not None and new.reward is None:
        return why_uncriticised(new)
    if new.answer is None or worth(new) < worth(best) + LEAST_GAIN:
        return "A further round did not make it better."
    return ""


def faults_of(reward: Reward | None) -> str:
    """What the critic found not met, a line each."""
    criteria: dict[str, Any] = reward.detail.get("criteria", {}) if reward else {}
    wanting = [
        f"- {name}: {said.get('why', '')}"
        for name, said in criteria.items()
        if float(said.get("met", 1)) < 1
    ]
    return "\n".join(wanting) or "- (no reason was given)"
