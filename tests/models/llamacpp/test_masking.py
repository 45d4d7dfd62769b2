"""A mask leaves exactly its tokens in reach, whichever of them were seen before."""

import numpy as np
import pytest

from wardian.models.llamacpp.masking import KEPT_MASKS, Masks


@pytest.mark.parametrize("size", [1, 31, 32, 1000, 4097])
def test_what_a_mask_leaves_out_is_out_of_reach_and_nothing_else(size: int) -> None:
    masks, drawn = Masks(size), np.random.default_rng(size)
    shares = [0.0, 0.001, 0.1, 0.5, 0.97, 0.999, 1.0, *drawn.random(KEPT_MASKS)]
    for share in (*shares, *shares[:9]):
        logits = drawn.standard_normal(size).astype(np.float32)
        bits = np.zeros((size + 31) // 32 * 32, np.uint8)
        bits[:size] = drawn.random(size) < share
        for _ in range(2):
            masked = logits.copy()
            masks.forbid(masked, np.packbits(bits, bitorder="little").tobytes())
            assert np.array_equal(masked, np.where(bits[:size] > 0, logits, np.float32(-np.inf)))
