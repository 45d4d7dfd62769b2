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
_HARMLESS = 60.0
"""exp of logits up to this, summed over any vocabulary, is within float32 without subtracting the
highest first: a step that costs, with the caches full of the model's weights, as much as exp."""


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
        self._room = np.empty((0, _BLOCK_TOKENS), np.float32)
        """Weights by block, 0 behind the last: fresh memory for each token costs as much as exp."""

    def choose(self, logits: NDArray[np.float32]) -> Chosen:
        """Raises: NotANumber."""
        best = int(logits.argmax())
        if not math.isfinite(logits[best]):
            raise NotANumber
        weights = self._weights(logits, float(logits[best]))
        if self._temperature <= 0:
            token, total = best, float((self._room @ _ONES).sum())
        else:
            if self._top_p < 1.0:
                _cut_to_nucleus(weights, self._top_p)
            token, total = _drawn(self._room, self._random.random())
        return Chosen(token=token, logprob=math.log(float(weights[token]) / total))

    def _weights(self, logits: NDArray[np.float32], highest: float) -> NDArray[np.float32]:
        """What the tokens weigh against each other, whatever the sum."""
        blocks = -(-len(logits) // _BLOCK_TOKENS)
        if len(self._room) != blocks:
            self._room = np.zeros((blocks, _BLOCK_TOKENS), np.float32)
        weights = self._room.reshape(-1)[: len(logits)]
        scale = 1 / self._temperature if self._temperature > 0 else 1.0
        exponents = logits
        if abs(highest * scale) > _HARMLESS:
            exponents = np.subtract(exponents, np.float32(highest), out=weights)
        if scale != 1.0:
            exponents = np.multiply(exponents, np.float32(scale), out=weights)
        return np.exp(exponents, out=weights)


def _drawn(room: NDArray[np.float32], share: float) -> tuple[int, float]:
    """The token at which the weights add up to more than this share; and what all of them do."""
    blocks = (room @ _ONES).cumsum(dtype=np.float64)
    total = float(blocks[-1])
    wanted = share * total
    block = min(int(blocks.searchsorted(wanted, side="right")), len(blocks) - 1)
    within = room[block].cumsum(dtype=np.float64)
    wanted -= float(blocks[block - 1]) if block else 0.0
    # A block's sum is rounded otherwise than its parts: the draw may fall just behind its last.
    token = block * _BLOCK_TOKENS + min(
        int(within.searchsorted(wanted, side="right")), len(within) - 1
    )
    weights = room.reshape(-1)
    while weights[token] == 0:
        token -= 1
    return token, total


def _cut_to_nucleus(weights: NDArray[np.float32], top_p: float) -> None:
    """All but the fewest tokens that hold `top_p` of the weight get 0.

    Source: Holtzman et al., The Curious Case of Neural Text Degeneration, 2019, section 3.1.
    """
    total = float(weights.sum(dtype=np.float64))
    # Lighter ones have, all together, less than what may be left out.
    likely = np.flatnonzero(weights >= (1.0 - top_p) * total / len(weights))
    order = likely[np.argsort(-weights[likely], kind="stable")]
    cumulated = weights[order].cumsum(dtype=np.float64)
    kept = order[: int(np.count_nonzero(cumulated < top_p * total)) + 1]
    weights_kept = weights[kept]
    weights.fill(0)
    weights[kept] = weights_kept
