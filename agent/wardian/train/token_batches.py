"""Token streams of attempts as batches, and what a model says of their sampled tokens.

R rows, T tokens, N sampled tokens in all rows, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wardian.data.streams import Branch
from wardian.train.collating import padded


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One branch of one attempt, and how much better than its group the attempt was."""

    ids: tuple[int, ...]
    mask: tuple[int, ...]
    """1 on what the model sampled of its own will"""
    logprobs: tuple[float, ...]
    advantage: float

    @property
    def sampled(self) -> int:
        return sum(self.mask)


def stream_of(branch: Branch, advantage: float) -> Stream:
    """Tokens that a grammar chose among are no choice of the model's: they do not count."""
    mask = [0] * len(branch.ids)
    logprobs = [0.0] * len(branch.ids)
    for reply in branch.replies:
        for place, (logprob, constrained) in enumerate(
            zip(reply.logprobs, reply.constrained, strict=True), start=reply.begin
        ):
            mask[place] = int(not constrained and place > 0)
            logprobs[place] = logprob
    return Stream(
        ids=tuple(branch.ids), mask=tuple(mask), logprobs=tuple(logprobs), advantage=advantage
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    ids_RT: Tensor
    attention_RT: Tensor
    sampled_RT: Tensor
    """bool; of positions 1..T-1"""
    tokens_N: Tensor
    old_N: Tensor
    advantage_N: Tensor


def batches(streams: Sequence[Stream], rows: int, device: str) -> Iterator[Batch]:
    """Streams of similar length together, at most `rows` at once."""
    ordered = sorted(streams, key=lambda one: len(one.ids))
    for begin in range(0, len(ordered), rows):
        yield _batch(ordered[begin : begin + rows], device)


def _batch(streams: Sequence[Stream], device: str) -> Batch:
    ids_RT = padded([one.ids for one in streams], 0)
    sampled_RT = padded([one.mask for one in streams], 0)[:, 1:].bool()
    length = ids_RT.shape[1]
    old_RT = torch.tensor([[*one.logprobs, *[0.0] * (length - len(one.ids))] for one in streams])
    advantage_RT = torch.tensor([[one.advantage] * (length - 1) for one in streams])
    return Batch(
        ids_RT=ids_RT.to(device),
        attention_RT=padded([[1] * len(one.ids) for one in streams], 0).to(device),
        sampled_RT=sampled_RT.to(device),
        tokens_N=ids_RT[:, 1:][sampled_RT].to(device),
        old_N=old_RT[:, 1:][sampled_RT].to(device),
        advantage_N=advantage_RT[sampled_RT].to(device),
    )


def likelihoods(model: Any, batch: Batch, temperature: float) -> tuple[Tensor, Tensor]:
    """Log probability of each sampled token, and the entropy where it was chosen: N and N.

    Logits are made at the sampled positions only: a large vocabulary costs most of the memory.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden_RTD: Tensor = inner.model(
        input_ids=batch.ids_RT, attention_mask=batch.attention_RT, use_cache=False
    ).last_hidden_state
    logits_NV: Tensor = inner.lm_head(hidden_RTD[:, :-1][batch.sampled_RT])
    logprobs_NV = torch.log_softmax(logits_NV.float() / temperature, dim=-1)
    entropy_N = -(logprobs_NV.detach().exp() * logprobs_NV.detach()).sum(-1)
    now_N = logprobs_NV.gather(-1, batch.tokens_N[:, None])[:, 0]
    return now_N, entropy_N
