"""GRPO with the runtime itself as environment: attempt, grade, compare within groups, update.

A loop of our own and not TRL's: its rollout hooks take one prompt and one completion with a mask,
while an attempt here may have several token streams (a conversation that was shortened begins
anew), attempts that say nothing about the model must leave their group, and the ratio has to be to
what the engine recorded.
"""

import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from wardian.evals.tasks import Task
from wardian.train.base import Base
from wardian.train.checkpoints import CHECKPOINTS, drop_old, mark, step_of
from wardian.train.errors import TrainingStopped
from wardian.train.measures import Measured, Metrics, Seen
from wardian.train.policy import NotFinite, Policy
from wardian.train.policy_loss import advantages
from wardian.train.recipe import Recipe
from wardian.train.rollouts import Rollout, Rollouts
from wardian.train.tasks_to_try import Tasks, load_tasks, success_on
from wardian.train.token_batches import Stream, stream_of
from wardian.train.trl_runs import LOWER_RATE, not_a_number
from wardian.train.watch import History, check, check_learnt, mean

KEPT_ROLLOUTS = 5
"""Steps whose attempts stay on the disk, to be looked at"""
STATE_FILE, BEST_FILE = "state.pt", "best.pt"


@dataclass(slots=True)
class Progress:
    """What a checkpoint holds beside weights."""

    step: int = 0
    attempts: int = 0
    groups: int = 0
    groups_used: int = 0
    errors: int = 0
    suspicious: int = 0
    best_step: int = 0
    stopped_early: bool = False
    history: History = field(default_factory=History)


def train_grpo(
    recipe: Recipe, base: Base, begin: Path | None, seen: Seen
) -> tuple[Any, dict[str, Any]]:
    """The trained model, and what is to be said of it.

    Raises: ConfigurationError, TrainingStopped, ModelError, StorageError, SandboxError.
    """
    tasks = load_tasks(recipe)
    training = GroupTraining(recipe, base, tasks, seen)
    if begin is not None:
        training.restore(begin)
    training.run()
    progress, stopped = training.progress, training.stopped
    if stopped is not None and not progress.history.dev:
        raise stopped  # nothing says which of the models on the way was good
    if stopped is None and recipe.watch.flat_steps:
        check_learnt(progress.history, progress.groups_used)
    facts: dict[str, Any] = {
        "steps": progress.step,
        "best_step": progress.best_step if tasks.dev else progress.step,
        "stopped_early": progress.stopped_early,
        "tasks": len(tasks.train),
        "dev_tasks": len(tasks.dev),
        "attempts": progress.attempts,
        "groups": progress.groups,
        "groups_used": progress.groups_used,
        "attempts_without_reward": progress.errors,
        "suspicious_passes": progress.suspicious,
    }
    if stopped is not None:
        facts |= {"stopped": stopped.cause, "remedy": stopped.remedy}
    if progress.history.dev:
        facts["dev_success_before"] = progress.history.dev[0][1]
        facts["dev_success"] = max(success for _, success in progress.history.dev)
    return training.policy.model, facts


class GroupTraining:
    """One training: `run` goes from where it is to the end."""

    def __init__(self, recipe: Recipe, base: Base, tasks: Tasks, seen: Seen) -> None:
        self.recipe, self.tasks, self.seen = recipe, tasks, seen
        self.out = Path(recipe.out)
        self.policy = Policy(recipe, base)
        self.rollouts = Rollouts(recipe, base)
        self.progress = Progress()
        self.stopped: TrainingStopped | None = None
        self.metrics = Metrics(self.out)

    def run(self) -> None:
        """To the end, or to where `stopped` says why not; then what did best on dev tasks."""
        try:
            self._go_on()
        except TrainingStopped as reason:
            self.stopped = reason
        self._take_best()

    def _go_on(self) -> None:
        grpo = self.recipe.grpo
        while self.progress.step < grpo.steps:
            self.rollouts.refresh(self.policy.model)
            if self._is_dev_step() and self._measure_dev():
                self.progress.stopped_early = True
                break
            self._step()
            if self.progress.step % self.recipe.training.checkpoint_steps == 0:
                self.save()
        else:
            self.rollouts.refresh(self.policy.model)
            self._measure_dev()

    def _is_dev_step(self) -> bool:
        step = self.progress.step
        measured = {done for done, _ in self.progress.history.dev}
        return step % self.recipe.dev.every_steps == 0 and step not in measured

    def _step(self) -> None:
        progress, number = self.progress, self.progress.step + 1
        began = time.monotonic()
        groups = self.rollouts.collect(
            self._choose(number),
            self.recipe.grpo.attempts,
            f"step-{number:06}",
            self._doing(number),
        )
        sampled = time.monotonic()
        self._check_alive(groups, number)
        streams = self._compared(groups)
        values = self._learn(streams, number) if streams else {}
        values |= described(groups)
        values |= {
            "seconds_attempts": sampled - began,
            "seconds_update": time.monotonic() - sampled,
        }
        progress.step = number
        self._remember(groups, streams, values)
        self.metrics.add(number, values)
        self.seen(Measured(step=number, steps=self.recipe.grpo.steps, values=values))
        old = self.out / "rollouts" / f"step-{number - KEPT_ROLLOUTS:06}"
        shutil.rmtree(old, ignore_errors=True)
        check(progress.history, self.recipe.watch)

    def _choose(self, number: int) -> list[Task]:
        """Tasks of a step: without repeats while there are others."""
        wanted, having = self.recipe.grpo.tasks, self.tasks.train
        generator = random.Random(f"{self.recipe.training.seed}/{number}")  # noqa: S311 - reproducible
        return generator.sample(having, min(wanted, len(having)))

    def _compared(self, groups: Sequence[Sequence[Rollout]]) -> list[Stream]:
        """What can be learnt from: attempts of groups that differ, each with its advantage."""
        made: list[Stream] = []
        for group in groups:
            known = [(one, one.reward) for one in group if one.reward is not None]
            self.progress.groups += 1
            by = advantages([reward for _, reward in known], self.recipe.grpo.scale)
            if by is None:
                continue
            self.progress.groups_used += 1
            for (rollout, _), advantage in zip(known, by, strict=True):
                streams = [stream_of(branch, advantage) for branch in rollout.branches]
                made += [
                    one
                    for one in streams
                    if one.sampled and len(one.ids) <= self.recipe.training.max_tokens
                ]
        return made

    def _learn(self, streams: Sequence[Stream], number: int) -> dict[str, float]:
        """Raises: TrainingStopped where a number is none."""
        try:
            return self.policy.learn(streams, number)
        except NotFinite as name:
            raise TrainingStopped(not_a_number(str(name), number, self.out), LOWER_RATE) from None

    def _check_alive(self, groups: Sequence[Sequence[Rollout]], number: int) -> None:
        """Raises: TrainingStopped where every attempt broke: that is no matter of learning."""
        everyone = [one for group in groups for one in group]
        if all(one.reward is None for one in everyone):
            why = next((one.outcome.detail for one in everyone if one.outcome.detail), "no reason")
            raise TrainingStopped(
                f"Every attempt of step {number} broke and none could be graded: {why}",
                "Try one task with `agent eval`, and mend what it names.",
            )

    def _remember(
        self,
        groups: Sequence[Sequence[Rollout]],
        streams: Sequence[Stream],
        values: dict[str, float],
    ) -> None:
        progress, history = self.progress, self.progress.history
        everyone = [one for group in groups for one in group]
        progress.attempts += len(everyone)
        progress.errors += sum(one.reward is None for one in everyone)
        progress.suspicious += sum(
            bool(one.outcome.suspicions) and one.outcome.passed for one in everyone
        )
        history.reward.append(values["reward"])
        history.flat = 0 if streams else history.flat + 1
        if streams:
            history.entropy.append(values["entropy"])
            history.kl.append(values["kl"])

    def _measure_dev(self) -> bool:
        """Measure success on dev tasks; True when it has not improved for too long."""
        step, dev = self.progress.step, self.tasks.dev
        if not dev:
            return False
        success = success_on(dev, self.rollouts, self._doing(step))
        history = self.progress.history
        is_best = all(success > before for _, before in history.dev)
        history.dev.append((step, success))
        if is_best:
            self.progress.best_step = step
            _store(self.out / BEST_FILE, self.policy.weights())
        self.metrics.add(step, {"dev_success": success})
        values = {"dev_success": success}
        self.seen(Measured(step=step, steps=self.recipe.grpo.steps, values=values))
        since = sum(done > self.progress.best_step for done, _ in history.dev)
        return bool(self.recipe.dev.patience) and since >= self.recipe.dev.patience

    def _doing(self, step: int) -> Callable[[float], None]:
        def tell(part: float) -> None:
            steps = self.recipe.grpo.steps
            self.seen(Measured(step=step, steps=steps, values={}, part=part))

        return tell

    def _take_best(self) -> None:
        """Go back to the weights that did best on dev tasks."""
        if self.progress.history.dev and self.progress.best_step != self.progress.step:
            self.policy.take(torch.load(self.out / BEST_FILE, weights_only=True))

    def save(self) -> None:
        folder = self.out / CHECKPOINTS / f"checkpoint-{self.progress.step}"
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "weights": self.policy.weights(),
            "optimizer": self.policy.optimizer.state_dict(),
            "progress": asdict(self.progress),
            "random": torch.get_rng_state(),
        }
        _store(folder / STATE_FILE, state)
        mark(folder)
        drop_old(self.out, self.recipe.training.keep_checkpoints)

    def restore(self, folder: Path) -> None:
        """Go on from a checkpoint: weights, optimiser and history as they were; what is sampled
        from there is new, since llama.cpp's batches depend on timing."""
        state = torch.load(folder / STATE_FILE, weights_only=True)
        self.policy.take(state["weights"])
        self.policy.optimizer.load_state_dict(state["optimizer"])
        told = dict(state["progress"])
        history = told.pop("history")
        history["dev"] = [(step, success) for step, success in history["dev"]]
        self.progress = Progress(**told, history=History(**history))
        torch.set_rng_state(state["random"])
        self.metrics = Metrics(self.out, after_step=step_of(folder))


def described(groups: Sequence[Sequence[Rollout]]) -> dict[str, float]:
    """What the attempts of a step were like."""
    everyone = [one for group in groups for one in group]
    known = [one for one in everyone if one.reward is not None]
    tokens = [float(one.tokens) for one in known]
    rewards = [float(one.outcome.value or 0.0) for one in known]
    differ = [
        advantages([one.reward for one in group if one.reward is not None], "none") is not None
        for group in groups
    ]
    return {
        "reward": mean(rewards),
        "success": mean([float(one.outcome.passed) for one in known]),
        "groups_used": sum(differ) / len(groups),
        "tokens_mean": mean(tokens),
        "tokens_max": max(tokens),
        "calls_mean": mean([float(one.outcome.tool_calls) for one in known]),
        "without_reward": 1 - len(known) / len(everyone),
        "suspicious": mean([float(bool(one.outcome.suspicions)) for one in known]),
    }


def _store(path: Path, value: Any) -> None:
    partial = path.with_name(path.name + ".partial")
    torch.save(value, partial)
    partial.replace(path)
