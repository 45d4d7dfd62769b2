"""The model that GRPO changes, with its reference and its optimiser."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from wardian.train.base import Base, load_weights, wants_bf16
from wardian.train.policy_loss import Clip, token_loss
from wardian.train.recipe import Recipe
from wardian.train.token_batches import Batch, Stream, batches, likelihoods


class NotFinite(Exception):
    """The measure of that name is not a number; the weights are as they were."""


class Policy:
    """`update` changes the weights once for all streams of a step."""

    def __init__(self, recipe: Recipe, base: Base) -> None:
        self.recipe = recipe
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._bf16 = wants_bf16(recipe)
        self.model: Any = load_weights(base, recipe).to(self.device)
        if recipe.training.gradient_checkpointing:
            self.model.gradient_checkpointing_enable()
        self._compares = recipe.grpo.kl > 0 or recipe.watch.kl > 0
        self._reference: Any = None
        """None also where it is the model without its low-rank additions"""
        if self._compares and not recipe.is_lora:
            self._reference = load_weights(base, recipe).to(self.device)
            self._reference.eval().requires_grad_(False)
        self._trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self._trained,
            lr=recipe.learning_rate,
            weight_decay=recipe.training.weight_decay,
            betas=(0.9, 0.99),
        )

    def learn(self, streams: Sequence[Stream], step: int) -> dict[str, float]:
        """All updates of a step (1 for the first), and what was measured. Raises: NotFinite."""
        values: dict[str, float] = {}
        for update in range(self.recipe.grpo.updates):
            now = self.update(streams, step)
            # How far sampler and trainer are apart is seen before the first change of this step.
            values = now | ({"mismatch": values["mismatch"]} if update else {})
        return values

    def update(self, streams: Sequence[Stream], step: int) -> dict[str, float]:
        """Raises: NotFinite."""
        grpo, training = self.recipe.grpo, self.recipe.training
        clip = Clip(low=grpo.clip_low, high=grpo.clip_high, kl=grpo.kl)
        total = sum(one.sampled for one in streams)
        sums = dict.fromkeys(("loss", "clipped", "kl", "mismatch", "entropy"), 0.0)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        for batch in batches(streams, training.micro_batch_size, self.device):
            with torch.autocast(self.device, torch.bfloat16, enabled=self._bf16):
                reference_N = self._expected(batch)
                now_N, entropy_N = likelihoods(self.model, batch, grpo.temperature)
            parts = token_loss(now_N, batch.old_N, batch.advantage_N, reference_N, clip)
            (parts.loss / total).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            sums["loss"] += float(parts.loss.detach())
            sums["clipped"] += parts.clipped
            sums["kl"] += parts.kl
            sums["mismatch"] += parts.mismatch
            sums["entropy"] += float(entropy_N.sum())
        values = {name: value / total for name, value in sums.items()}
        norm = torch.nn.utils.clip_grad_norm_(self._trained, training.max_grad_norm)
        values["grad_norm"] = float(norm)
        for name in ("loss", "grad_norm"):
            if not math.isfinite(values[name]):
                raise NotFinite(name)
        values["learning_rate"] = self._set_rate(step)
        self.optimizer.step()  # pyright: ignore[reportUnknownMemberType] # torch: untyped
        return values

    def _expected(self, batch: Batch) -> Tensor | None:
        """Log probabilities under the reference, N; None where nothing is compared."""
        if not self._compares:
            return None
        temperature = self.recipe.grpo.temperature
        with torch.no_grad():
            if self._reference is not None:
                return likelihoods(self._reference, batch, temperature)[0]
            with self.model.disable_adapter():
                return likelihoods(self.model, batch, temperature)[0]

    def _set_rate(self, step: int) -> float:
        warmup = self.recipe.training.warmup_share * self.recipe.grpo.steps
        rate = self.recipe.learning_rate * min(1.0, step / max(1.0, warmup))
        self.optimizer.param_groups[0]["lr"] = rate
        return rate

    def weights(self) -> dict[str, Any]:
        """Of what is trained only."""
        return {
            name: p.detach().cpu() for name, p in self.model.named_parameters() if p.requires_grad
        }

    def take(self, weights: dict[str, Any]) -> None:
        mine = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in weights.items():
                mine[name].copy_(value)
