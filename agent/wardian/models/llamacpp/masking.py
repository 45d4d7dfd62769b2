"""Puts what a grammar does not allow out of a sampler's reach."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEPT_MASKS = 64
"""At most half a megabyte each at a vocabulary of 128,000; of a string's inside, ten kilobytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mask:
    tokens: NDArray[np.int32]
    are_allowed: bool
    """Otherwise they are the ones that are not: whichever are fewer."""


class Masks:
    """What was read out of masks seen before.

    A string's next character mostly has the mask of its last one, and the next call the masks of
    the one before. Every step over a whole vocabulary, evicted from the processor's caches by each
    evaluation, costs as much as finding the mask again here.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[bytes, _Mask] = OrderedDict()

    def forbid(self, logits: NDArray[np.float32], packed: bytes) -> None:
        """Minus infinity for each token whose bit is not set; the lowest bit of a byte is first."""
        mask = self._kept.get(packed)
        if mask is None:
            mask = self._kept[packed] = self._read(packed)
            if len(self._kept) > KEPT_MASKS:
                self._kept.popitem(last=False)
        if not mask.are_allowed:
            logits[mask.tokens] = -np.inf
            return
        allowed = logits[mask.tokens]
        logits.fill(-np.inf)
        logits[mask.tokens] = allowed

    def _read(self, packed: bytes) -> _Mask:
        bits = np.unpackbits(
            np.frombuffer(packed, np.uint8), count=self._size, bitorder="little"
        ).view(np.bool_)
        are_allowed = int(np.count_nonzero(bits)) * 2 < self._size
        tokens = (bits if are_allowed else ~bits).nonzero()[0]
        return _Mask(tokens=tokens.astype(np.int32), are_allowed=are_allowed)
