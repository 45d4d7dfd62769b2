"""Trains the network: Muon for the matrices, AdamW for the rest, one pass over the shards.

Progress is counted in shards, not in time: the same seed gives the same model, however often it
was interrupted and however long it took.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from wardian.train.tiny.chat import PAD
from wardian.train.tiny.data import Example, batches, read_shard
from wardian.train.tiny.muon import Muon
from wardian.train.tiny.network import Shape, TinyNetwork
from wardian.train.tiny.tokenizer import TinyTokenizer

CHECKPOINT_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to train; part of the checkpoint, so that a resumed run cannot differ."""

    seed: int = 0
    shards: int = 56
    batch_tokens: int = 4096
    letter_merges: int = 620
    matrix_rate: float = 0.02
    other_rate: float = 4e-3
    warmup_shards: float = 1.12
    """Over which the rates rise, from a twentieth."""
    decay_shards: float = 22.0
    """At the end, over which the rates fall to zero; a checkpoint before them fits any length."""
    width: int = 160
    layers: int = 5
    heads: int = 5
    hidden: int = 448

    def rate(self, at: float) -> float:
        """The factor on both rates when `at` shards are done."""
        return min(1.0, at / self.warmup_shards + 0.05, (self.shards - at) / self.decay_shards)

    def network(self, vocabulary: int) -> TinyNetwork:
        torch.manual_seed(self.seed)  # pyright: ignore[reportUnknownMemberType] # torch: untyped
        shape = Shape(
            vocabulary=vocabulary,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            hidden=self.hidden,
        )
        return TinyNetwork(shape)


class Training:
    """A run that can be saved at any batch and taken up again."""

    def __init__(self, out: Path, plan: Plan, tokenizer: TinyTokenizer) -> None:
        self.out, self.plan, self.tokenizer = out, plan, tokenizer
        self.network = plan.network(len(tokenizer.tokens))
        matrices = [
            p for n, p in self.network.named_parameters() if p.ndim == 2 and "embedding" not in n
        ]
        others = [p for n, p in self.network.named_parameters() if p.ndim < 2 or "embedding" in n]
        self.muon = Muon(matrices, plan.matrix_rate)
        self.adam = torch.optim.AdamW(
            others, lr=plan.other_rate, betas=(0.9, 0.95), weight_decay=0.0, foreach=True
        )
        self.shard = self.batch = self.step = self.tokens = 0
        self.seconds = self.recent_loss = 0.0

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def save(self) -> None:
        state = {
            "plan": self.plan_values(),
            "network": self.network.state_dict(),
            "muon": self.muon.state(),
            "adam": self.adam.state_dict(),
            "at": [self.shard, self.batch, self.step, self.tokens, self.seconds],
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def resume(self) -> bool:
        """Take up the saved run, if there is one. Raises: ValueError when its plan differs."""
        if not self.checkpoint.exists():
            return False
        state: dict[str, Any] = torch.load(self.checkpoint, weights_only=True)
        if state["plan"] != self.plan_values():
            raise ValueError(f"{self.checkpoint} was made with another plan; give another --out")
        self.network.load_state_dict(state["network"])
        self.muon.load(state["muon"])
        self.adam.load_state_dict(state["adam"])
        self.shard, self.batch, self.step, self.tokens, self.seconds = state["at"]
        return True

    def plan_values(self) -> dict[str, Any]:
        return asdict(self.plan)

    def run(
        self, say: Callable[[str], None], after_step: Callable[[], None] = lambda: None
    ) -> None:
        """Train to the end of the last shard, saving on the way."""
        while self.shard < self.plan.shards:
            rows = read_shard(self.out / "data", self.shard)
            made = batches(
                rows, self.tokenizer, self.plan.batch_tokens, f"{self.plan.seed}/{self.shard}"
            )
            while self.batch < len(made):
                self._step(made[self.batch], self.batch / len(made), say)
                after_step()
            self.shard, self.batch = self.shard + 1, 0
        self.save()

    def _step(self, batch: list[Example], part: float, say: Callable[[str], None]) -> None:
        began = time.monotonic()
        factor = self.plan.rate(self.shard + part)
        self.muon.rate = self.plan.matrix_rate * factor
        self.adam.param_groups[0]["lr"] = self.plan.other_rate * factor
        loss = batch_loss(self.network, batch, self.tokenizer.ids[PAD])
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.muon.step()
        self.adam.step()  # pyright: ignore[reportUnknownMemberType] # torch: untyped
        self.adam.zero_grad(set_to_none=True)
        self.recent_loss += (loss.item() - self.recent_loss) * (0.05 if self.recent_loss else 1)
        self.batch += 1
        self.step += 1
        self.tokens += sum(len(ids) for ids, _ in batch)
        self.seconds += time.monotonic() - began
        if self.step % 20 == 0:
            say(
                f"step {self.step} shard {self.shard}/{self.plan.shards} "
                f"loss {self.recent_loss:.4f} {self.tokens / 1e6:.2f}M tokens "
                f"{self.tokens / self.seconds:.0f}/s"
            )
        if self.step % CHECKPOINT_STEPS == 0:
            self.save()


def batch_loss(network: TinyNetwork, batch: list[Example], pad: int) -> Tensor:
    """Mean cross-entropy over the tokens that the model is to write."""
    length = max(len(ids) for ids, _ in batch)
    ids = torch.full((len(batch), length), pad)
    learned = torch.zeros((len(batch), length), dtype=torch.bool)
    for row, (tokens, mask) in enumerate(batch):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        learned[row, : len(tokens)] = torch.tensor(mask)
    # Padding stands on the right, where causal attention cannot see it from the left.
    targets = learned[:, 1:]
    hidden = network(ids[:, :-1])[targets]
    return functional.cross_entropy(network.logits(hidden), ids[:, 1:][targets])


def learn_tokenizer(out: Path, plan: Plan) -> TinyTokenizer:
    """The tokenizer of this run: learned from the first shard, once."""
    path = out / "tokenizer.json"
    if not path.exists():
        rows = read_shard(out / "data", 0)
        texts = (span.text for row in rows for span in row.spans() if not span.control)
        TinyTokenizer.learn(texts, plan.letter_merges).save(path)
    return TinyTokenizer.load(path)


def trained(out: Path) -> tuple[TinyNetwork, TinyTokenizer]:
    """The network of the last checkpoint, and its tokenizer."""
    state: dict[str, Any] = torch.load(out / "checkpoint.pt", weights_only=True)
    tokenizer = TinyTokenizer.load(out / "tokenizer.json")
    network = Plan(**state["plan"]).network(len(tokenizer.tokens))
    network.load_state_dict(state["network"])
    return network.eval(), tokenizer


def log_to(path: Path) -> Callable[[str], None]:
    def say(line: str) -> None:
        print(line, flush=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return say
