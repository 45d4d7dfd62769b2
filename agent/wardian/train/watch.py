"""When training by rewards has gone wrong: seen from its measures, and said in words.

Covers: a policy that writes the same thing whatever it is asked (entropy), one that has left its
base behind (divergence), one that earns more while held-out tasks are solved less (hacked rewards),
and groups from which nothing can be learnt. Each rule can be switched off in the recipe.
Does not cover: a verifier that is wrong on held-out tasks too. Look at what passes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wardian.train.errors import TrainingStopped
from wardian.train.recipe import Watch

WINDOW = 5
"""Steps that are averaged before a rule is applied."""


@dataclass(slots=True)
class History:
    """Measures by step, as far as the rules need them; part of a checkpoint."""

    entropy: list[float] = field(default_factory=list[float])
    kl: list[float] = field(default_factory=list[float])
    reward: list[float] = field(default_factory=list[float])
    flat: int = 0
    """Steps in a row in which no group differed"""
    dev: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """(step, success)"""


def check(history: History, watch: Watch) -> None:
    """Raises: TrainingStopped."""
    for rule in (_entropy, _kl, _hacking, _flat):
        rule(history, watch)


def _entropy(history: History, watch: Watch) -> None:
    values = history.entropy
    if not watch.entropy_share or len(values) < 2 * WINDOW:
        return
    first, now = mean(values[:WINDOW]), mean(values[-WINDOW:])
    if now < watch.entropy_share * first:
        raise TrainingStopped(
            f"Entropy has collapsed from {first:.3g} to {now:.3g} per token: the model hardly "
            "tries anything new.",
            "Begin anew with a lower training.learning_rate, a "
            "higher grpo.clip_high or grpo.kl, or more different tasks.",
        )


def _kl(history: History, watch: Watch) -> None:
    recent = history.kl[-3:]
    if watch.kl and len(recent) == 3 and mean(recent) > watch.kl:
        raise TrainingStopped(
            f"The model has moved {mean(recent):.3g} nats per token away from its base, more than "
            f"watch.kl = {watch.kl:g}.",
            "Begin anew with a lower training.learning_rate or a higher grpo.kl.",
        )


def _hacking(history: History, watch: Watch) -> None:
    """Reward up while held-out success is down, both against when held-out success was best."""
    if not watch.hacking_drop or len(history.dev) < 2 or len(history.reward) < 2 * WINDOW:
        return
    best_step, best = max(history.dev, key=lambda one: one[1])
    step, now = history.dev[-1]
    if step <= best_step or best - now < watch.hacking_drop:
        return
    then = history.reward[max(0, best_step - WINDOW) : best_step] or history.reward[:WINDOW]
    if mean(history.reward[-WINDOW:]) > mean(then):
        raise TrainingStopped(
            f"Rewards in training have risen from {mean(then):.2f} to "
            f"{mean(history.reward[-WINDOW:]):.2f}, while success on dev tasks has fallen from "
            f"{best:.2f} (step {best_step}) to {now:.2f}: the model learns the verifier and not "
            "the task.",
            "Look at attempts that passed (rollouts/), mend the verifier, or hide what it tests.",
        )


def _flat(history: History, watch: Watch) -> None:
    if not watch.flat_steps or history.flat < watch.flat_steps:
        return
    raise TrainingStopped(
        f"In {history.flat} steps no group of attempts differed in reward (mean "
        f"{mean(history.reward[-watch.flat_steps :]):.2f}), so there was nothing to learn from.",
        _other_tasks(mean(history.reward[-watch.flat_steps :])),
    )


def check_learnt(history: History, groups_used: int) -> None:
    """At the end: was any step one of learning? Raises: TrainingStopped."""
    if history.entropy or not history.reward:
        return
    if groups_used:
        raise TrainingStopped(
            "Nothing was learnt: the attempts of all groups that differed were too long.",
            "Raise training.max_tokens, and begin anew with --fresh.",
        )
    reward = mean(history.reward)
    raise TrainingStopped(
        f"Nothing was learnt: in no group of {len(history.reward)} steps did the attempts differ "
        f"in reward (mean {reward:.2f}), so the model is still its base.",
        f"{_other_tasks(reward)} More grpo.tasks and grpo.attempts differ more often. Begin anew "
        "with --fresh.",
    )


def _other_tasks(reward: float) -> str:
    if reward > 0.5:
        return "Take harder tasks: these are all solved."
    return (
        "Take easier tasks or a verifier that gives part of the reward, or train with sft on "
        "attempts that passed first."
    )


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
