"""Chooses the next token from the logits."""

import math
import random
import secrets
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK_TOKENS = 512
"""Weights are added up one by one only in the block that the draw falls into: doing it for a
vocabulary of 128,000 takes longer than all else here."""
_ONES = np.ones(_BLOCK_TOKENS, np.float32)


class NotANumber(Exception):
    """The model's logits hold no finite number: its weights are damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    token: int
    logprob: float
    """Natural log of its probability under the distribution sampled from: after the mask, the
    temperature and top-p. Greedy choice: under the masked distribution at temperature 1."""


class Sampler:
    """Greedy at temperature 0, the default. No penalty of any kind."""

    def __init__(
        self,
        *,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> None:
        self._temperature = temperature or 0.0
        self._top_p = 1.0 if top_p is None else top_p
        self._random = random.Random(secrets.randbits(64) if seed is None else seed)  # noqa: S311

    def choose(self, logits: NDArray[np.float32]) -> Chosen:
        """Raises: NotANumber."""
        best = int(logits.argmax())
        if not math.isfinite(logits[best]):
            raise NotANumber
        weights = logits - logits[best]
        if self._temperature <= 0:
            np.exp(weights, out=weights)
            return Chosen(token=best, logprob=-math.log(_blocks(weights).sum()))
        if self._temperature != 1.0:
            weights *= np.float32(1 / self._temperature)
        np.exp(weights, out=weights)
        if self._top_p < 1.0:
            weights = _nucleus(weights, self._top_p)
        token, total = _drawn(weights, self._random.random())
        return Chosen(token=token, logprob=math.log(float(weights[token]) / total))


def _drawn(weights: NDArray[np.float32], share: float) -> tuple[int, float]:
    """The token at which the weights add up to more than this share; and what all of them do."""
    blocks = _blocks(weights).cumsum()
    total = float(blocks[-1])
    wanted = share * total
    block = min(int(blocks.searchsorted(wanted, side="right")), len(blocks) - 1)
    begin = block * _BLOCK_TOKENS
    within = weights[begin : begin + _BLOCK_TOKENS].cumsum(dtype=np.float64)
    wanted -= float(blocks[block - 1]) if block else 0.0
    # A block's sum is rounded otherwise than its parts: the draw may fall just behind its last.
    token = begin + min(int(within.searchsorted(wanted, side="right")), len(within) - 1)
    while weights[token] == 0:
        token -= 1
    return token, total


def _blocks(weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """What each block of tokens adds up to; a product with ones is the quickest sum."""
    whole = len(weights) // _BLOCK_TOKENS
    split = whole * _BLOCK_TOKENS
    sums = np.empty(whole + 1)
    sums[:whole] = weights[:split].reshape(whole, _BLOCK_TOKENS) @ _ONES
    sums[whole] = weights[split:].sum(dtype=np.float64)
    return sums


def _nucleus(weights: NDArray[np.float32], top_p: float) -> NDArray[np.float32]:
    """The fewest tokens that hold `top_p` of the weight; the others get 0.

    Source: Holtzman et al., The Curious Case of Neural Text Degeneration, 2019, section 3.1.
    """
    total = float(_blocks(weights).sum())
    # Lighter ones have, all together, less than what may be left out.
    likely = np.flatnonzero(weights >= (1.0 - top_p) * total / len(weights))
    order = likely[np.argsort(-weights[likely], kind="stable")]
    cumulated = weights[order].cumsum(dtype=np.float64)
    kept = int(np.count_nonzero(cumulated < top_p * total)) + 1
    cut = np.zeros_like(weights)
    cut[order[:kept]] = weights[order[:kept]]
    return cut
