"""GRPO with the runtime itself as environment: attempt, grade, compare within groups, update.

A loop of our own and not TRL's: its rollout hooks take one prompt and one completion with a mask,
while an attempt here may have several token streams (a conversation that was shortened begins
anew), attempts that say nothing about the model must leave their group, and the ratio has to be to
what the engine recorded.
"""

import math
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from wardian.evals.tasks import Task
from wardian.train.base import Base, load_weights, wants_bf16
from wardian.train.checkpoints import CHECKPOINTS, drop_old, mark, step_of
from wardian.train.errors import TrainingStopped
from wardian.train.measures import Measured, Metrics, Seen
from wardian.train.policy_loss import Clip, advantages, token_loss
from wardian.train.recipe import Recipe
from wardian.train.rollouts import Rollout, Rollouts
from wardian.train.tasks_to_try import Tasks, load_tasks, success_on
from wardian.train.token_batches import Stream, batches, likelihoods, stream_of
from wardian.train.trl_runs import LOWER_RATE, not_a_number
from wardian.train.watch import History, check, mean

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
    return training.model, facts


class GroupTraining:
    """One training: `run` goes from where it is to the end."""

    def __init__(self, recipe: Recipe, base: Base, tasks: Tasks, seen: Seen) -> None:
        self.recipe, self.tasks, self.seen = recipe, tasks, seen
        self.out = Path(recipe.out)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.bf16 = wants_bf16(recipe)
        self.model: Any = load_weights(base, recipe).to(self.device)
        if recipe.training.gradient_checkpointing:
            self.model.gradient_checkpointing_enable()
        needs = recipe.grpo.kl > 0 or recipe.watch.kl > 0
        self.reference: Any = (
            load_weights(base, recipe).to(self.device).eval().requires_grad_(False)
            if needs and not recipe.is_lora
            else None
        )
        self.needs_reference = needs
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.trained,
            lr=recipe.learning_rate,
            weight_decay=recipe.training.weight_decay,
            betas=(0.9, 0.99),
        )
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
            self.rollouts.refresh(self.model)
            if self._is_dev_step() and self._measure_dev():
                self.progress.stopped_early = True
                break
            self._step()
            if self.progress.step % self.recipe.training.checkpoint_steps == 0:
                self.save()
        else:
            self.rollouts.refresh(self.model)
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
        values = self._update(streams) if streams else {}
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

    def _update(self, streams: Sequence[Stream]) -> dict[str, float]:
        """Change the weights. Raises: TrainingStopped where a number is none."""
        grpo = self.recipe.grpo
        clip = Clip(low=grpo.clip_low, high=grpo.clip_high, kl=grpo.kl)
        values: dict[str, float] = {}
        for update in range(grpo.updates):
            now = self._one_update(streams, clip)
            # How far sampler and trainer are apart is seen before the first change of this step.
            values = now | ({"mismatch": values["mismatch"]} if update else {})
        return values

    def _one_update(self, streams: Sequence[Stream], clip: Clip) -> dict[str, float]:
        total = sum(one.sampled for one in streams)
        sums = dict.fromkeys(("loss", "clipped", "kl", "mismatch", "entropy"), 0.0)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        temperature = self.recipe.grpo.temperature
        for batch in batches(streams, self.recipe.training.micro_batch_size, self.device):
            with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
                reference_N = self._reference(batch, temperature)
                now_N, entropy_N = likelihoods(self.model, batch, temperature)
            parts = token_loss(now_N, batch.old_N, batch.advantage_N, reference_N, clip)
            (parts.loss / total).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            sums["loss"] += float(parts.loss.detach())
            sums["clipped"] += parts.clipped
            sums["kl"] += parts.kl
            sums["mismatch"] += parts.mismatch
            sums["entropy"] += float(entropy_N.sum())
        values = {name: value / total for name, value in sums.items()}
        norm = torch.nn.utils.clip_grad_norm_(self.trained, self.recipe.training.max_grad_norm)
        values["grad_norm"] = float(norm)
        self._check_finite(values)
        values["learning_rate"] = self._set_rate()
        self.optimizer.step()  # pyright: ignore[reportUnknownMemberType] # torch: untyped
        return values

    def _reference(self, batch: Any, temperature: float) -> Any:
        if not self.needs_reference:
            return None
        with torch.no_grad():
            if self.reference is not None:
                return likelihoods(self.reference, batch, temperature)[0]
            with self.model.disable_adapter():
                return likelihoods(self.model, batch, temperature)[0]

    def _set_rate(self) -> float:
        warmup = self.recipe.training.warmup_share * self.recipe.grpo.steps
        rate = self.recipe.learning_rate * min(1.0, (self.progress.step + 1) / max(1.0, warmup))
        self.optimizer.param_groups[0]["lr"] = rate
        return rate

    def _check_finite(self, values: dict[str, float]) -> None:
        for name in ("loss", "grad_norm"):
            if not math.isfinite(values[name]):
                step = self.progress.step + 1
                raise TrainingStopped(not_a_number(name, step, self.out), LOWER_RATE)

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
            _store(self.out / BEST_FILE, self._weights())
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

    def _weights(self) -> dict[str, Any]:
        """Of what is trained only."""
        return {
            name: p.detach().cpu() for name, p in self.model.named_parameters() if p.requires_grad
        }

    def _take_best(self) -> None:
        """Go back to the weights that did best on dev tasks."""
        if self.progress.history.dev and self.progress.best_step != self.progress.step:
            self._load_weights(torch.load(self.out / BEST_FILE, weights_only=True))

    def _load_weights(self, weights: dict[str, Any]) -> None:
        mine = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in weights.items():
                mine[name].copy_(value)

    def save(self) -> None:
        folder = self.out / CHECKPOINTS / f"checkpoint-{self.progress.step}"
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "weights": self._weights(),
            "optimizer": self.optimizer.state_dict(),
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
        self._load_weights(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
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
