"""Muon: momentum whose update is made orthogonal by a Newton-Schulz iteration.

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024).
`torch.optim.Muon` iterates in bfloat16, which processors without it emulate at a twentieth of
the speed; this one stays in float32 and takes matrices of one shape together.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon:
    """Nesterov momentum, orthogonalised, for matrices. State is saved and loaded like torch's."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], rate: float, momentum: float = 0.95
    ) -> None:
        self.parameters = list(parameters)
        self.rate, self.momentum = rate, momentum
        self.buffers = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Move each matrix by its orthogonalised momentum, and forget the gradients."""
        groups: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
        for parameter, buffer in zip(self.parameters, self.buffers, strict=True):
            assert parameter.grad is not None
            buffer.lerp_(parameter.grad, 1 - self.momentum)
            groups[parameter.shape].append((parameter, parameter.grad.lerp(buffer, self.momentum)))
            parameter.grad = None
        for shape, members in groups.items():
            updates = orthogonal(torch.stack([update for _, update in members]))
            scale = max(1.0, shape[0] / shape[1]) ** 0.5
            for (parameter, _), update in zip(members, updates, strict=True):
                parameter.add_(update, alpha=-self.rate * scale)

    def state(self) -> list[Tensor]:
        return self.buffers

    def load(self, buffers: list[Tensor]) -> None:
        for mine, saved in zip(self.buffers, buffers, strict=True):
            mine.copy_(saved)


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest matrices with singular values of about one (N x R x C)."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / (x.square().sum((1, 2), keepdim=True).sqrt() + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.transpose(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    return x.transpose(1, 2) if tall else x
