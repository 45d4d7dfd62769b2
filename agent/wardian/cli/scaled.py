"""`agent run` with more compute: several attempts at the task, or criticism and another try."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardian.agent import Agent
from wardian.approval import Approve
from wardian.cli.outcome import Outcome
from wardian.cli.sanitise import one_line
from wardian.cli.task_input import read_file
from wardian.cli.view import View
from wardian.models.catalogue import resolve_model
from wardian.rewards.combine import WeightedSum
from wardian.rewards.judge import Rubric, RubricJudge
from wardian.rewards.steps import StepRewards
from wardian.rewards.types import Verifier
from wardian.scale.attempts import Candidate, Group
from wardian.scale.best_of import best_of
from wardian.scale.refine import refine
from wardian.scale.vote import Chosen, same_maths, same_text, vote
from wardian.types import Stop, Task

PARALLEL = 4
SHOWN_CHARS = 60
GENERAL_RUBRIC = """\
- right: the answer is correct, as far as can be told
- whole: it does all of what was asked for
- brief: it says nothing that was not asked for
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How much more, and how one of the attempts is chosen."""

    samples: int = 1
    select: str = "vote"
    """vote, maths, judge, steps, verifier or reward"""
    verifier: Verifier | None = None
    """That chooses, with `verifier`, and counts beside the steps with `reward`"""
    rounds: int = 0
    """Of criticism"""
    rubric: Path | None = None
    critic: str | None = None
    """A model; None is the one that does the task"""


def perform_scaled(
    make_agent: Callable[[Approve | None], Agent[Any]], task: Task, view: View, scaling: Scaling
) -> int:
    """Do the task so, show it, and give the exit code. Raises: UsageError; as `Agent.run`.

    Nobody is asked: an attempt that would need a yes ends without an answer.
    """
    text = GENERAL_RUBRIC if scaling.rubric is None else read_file(scaling.rubric)
    rubric = Rubric.parse(text)
    outcome = asyncio.run(scaled(make_agent, task, view, scaling, rubric))
    view.conclude(outcome)
    return outcome.exit_code


async def scaled(
    make_agent: Callable[[Approve | None], Agent[Any]],
    task: Task,
    view: View,
    scaling: Scaling,
    rubric: Rubric,
) -> Outcome:
    """The outcome of the chosen attempt; of the first where none came to an answer."""
    async with make_agent(None) as agent:
        critic = resolve_model(scaling.critic) if scaling.critic else agent.model
        judge = RubricJudge(model=critic, rubric=rubric)
        try:
            chosen = await choose(agent, task, scaling, judge) if scaling.samples > 1 else None
            said = summary_of(chosen, scaling) if chosen else ""
            if chosen and not (scaling.rounds and chosen.winner):
                group, best = chosen.group, chosen.winner
            else:
                refined = await refine(agent, task, scaling.rounds, judge, first=chosen)
                group, best = refined.group, refined.best
                said = f"{said} {refined.stopped}".strip()
            view.notices([*map(line_of, group.candidates), f"{said} {cost_of(group)}"])
            return outcome_of(agent, best or group.candidates[0])
        finally:
            if critic is not agent.model:
                await critic.close()


async def choose(agent: Agent[Any], task: Task, scaling: Scaling, judge: RubricJudge) -> Chosen:
    if scaling.select in ("vote", "maths"):
        same = same_maths if scaling.select == "maths" else same_text
        return await vote(agent, task, scaling.samples, same=same, parallel=PARALLEL)
    by = by_reward(scaling, judge)
    return await best_of(agent, task, scaling.samples, by, parallel=PARALLEL)


def by_reward(scaling: Scaling, judge: RubricJudge) -> Verifier:
    """Whose highest reward is chosen."""
    steps = StepRewards()
    match scaling.select:
        case "judge":
            return judge
        case "verifier":
            assert scaling.verifier is not None
            return scaling.verifier
        case "reward" if scaling.verifier:
            return WeightedSum((scaling.verifier, steps), (1.0, 1.0))
        case _:
            return steps


def line_of(candidate: Candidate) -> str:
    """One attempt: what it came to, and what that was worth."""
    reward = f" ({candidate.reward.value:.2f})" if candidate.reward else ""
    result = candidate.result
    if candidate.answer is not None:
        said = one_line(candidate.answer, SHOWN_CHARS)
    else:
        said = f"no answer: {candidate.error or (result.error if result else '')}"
    return f"attempt {candidate.index + 1}{reward}: {said}"


def summary_of(chosen: Chosen, scaling: Scaling) -> str:
    if chosen.winner is None:
        return "No attempt came to an answer."
    number = chosen.winner.index + 1
    if scaling.select in ("vote", "maths"):
        votes = list(chosen.support.values())
        return f"Attempt {number} was chosen, with {votes[0]} of {sum(votes)} answers."
    return f"Attempt {number} was chosen."


def cost_of(group: Group) -> str:
    """What all attempts took together."""
    used = group.ledger.used
    money = f", {used.cost_usd:.4f} USD" if used.cost_usd else ""
    is_called_off = any(one.result is None for one in group.candidates)
    is_limited = group.ledger.is_limited(Stop.TOKENS, Stop.COST)
    reserved = ", what was called off at what it might have taken" if is_called_off else ""
    return f"Together: {used.steps} steps, {used.tokens} tokens{money}{reserved * is_limited}."


def outcome_of(agent: Agent[Any], candidate: Candidate) -> Outcome:
    """As if it had been the only one."""
    outcome = Outcome()
    if candidate.result is None or not agent.store:
        return outcome
    for event in agent.store.load(candidate.result.run_id).events:
        outcome.note(event)
    outcome.path = candidate.result.path
    return outcome
