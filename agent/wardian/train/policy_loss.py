"""The loss of group-relative policy optimisation, over tokens. R rows, T tokens, N sampled tokens.

The likelihoods that the engine recorded while it sampled are the old ones: what an update is a
ratio to is what truly was sampled from, not what the trainer would compute of it.

Source: Shao et al., "DeepSeekMath", arXiv:2402.03300, section 4.1 (groups); Yu et al., "DAPO",
arXiv:2503.14476, sections 3.1 (a higher upper clip) and 3.3 (each token counts alike); Liu et al.,
"Understanding R1-Zero-Like Training", arXiv:2503.20783 (`scale = "none"`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SPREAD = 1e-4
"""A group whose rewards deviate less than this says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    low: float
    high: float
    kl: float
    """Weight of the divergence from the reference"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Sums over N tokens."""

    loss: Tensor
    clipped: float
    kl: float
    mismatch: float
    """Of absolute differences between our likelihoods and the recorded ones"""


def advantages(rewards_G: Sequence[float], scale: str) -> list[float] | None:
    """How much better each attempt was than its group; None where the group did not differ."""
    if len(rewards_G) < 2:
        return None
    mean = sum(rewards_G) / len(rewards_G)
    # The sample's deviation, as in the paper's code.
    variance = sum((one - mean) ** 2 for one in rewards_G) / (len(rewards_G) - 1)
    deviation = variance**0.5
    if deviation < SPREAD:
        return None
    by = deviation + SPREAD if scale == "group" else 1.0
    return [(one - mean) / by for one in rewards_G]


def token_loss(
    now_N: Tensor, old_N: Tensor, advantage_N: Tensor, reference_N: Tensor | None, clip: Clip
) -> Parts:
    """Log probabilities under the model, the sampler and the reference → the loss to minimise."""
    ratio_N = torch.exp(now_N - old_N)
    bounded_N = ratio_N.clamp(1 - clip.low, 1 + clip.high)
    gain_N = torch.minimum(ratio_N * advantage_N, bounded_N * advantage_N)
    loss = -gain_N.sum()
    kl = 0.0
    if reference_N is not None:
        # Schulman, "Approximating KL Divergence" (2020), the estimator k3: never below zero.
        apart_N = reference_N - now_N
        kl_N = torch.exp(apart_N) - apart_N - 1
        loss = loss + clip.kl * kl_N.sum()
        kl = float(kl_N.detach().sum())
    is_clipped_N = (ratio_N * advantage_N > bounded_N * advantage_N).float()
    return Parts(
        loss=loss,
        clipped=float(is_clipped_N.sum()),
        kl=kl,
        mismatch=float((now_N - old_N).detach().abs().sum()),
    )
