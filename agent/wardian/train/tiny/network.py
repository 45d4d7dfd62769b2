"""A Qwen3-style decoder small enough to train on two CPU cores.

RMSNorm before each part, rotary positions (half-split pairs), normalised queries and keys,
SwiGLU, tied embeddings. Tensor names and shapes are the ones llama.cpp's `qwen3` expects.

Shapes: B sequences, T positions, D width, H heads, K head width, V vocabulary.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_SHARPNESS = 1.4
"""Of queries and keys at the start: copying needs attention to one token among hundreds, and a
norm's weight of 1 caps a logit at the square root of the head width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The network's dimensions."""

    vocabulary: int
    width: int = 160
    layers: int = 6
    heads: int = 5
    head_width: int = 32
    hidden: int = 448
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-6

    def as_dict(self) -> dict[str, int | float]:
        return asdict(self)


def rotate(x_BHTK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    """Turn each (i, i + K/2) pair by its position's angle."""
    first, second = x_BHTK.chunk(2, dim=-1)
    return x_BHTK * cos_TK + torch.cat((-second, first), dim=-1) * sin_TK


class Attention(nn.Module):
    """Causal self-attention with normalised queries and keys."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.head_width = shape.heads, shape.head_width
        inner = shape.heads * shape.head_width
        self.q = nn.Linear(shape.width, inner, bias=False)
        self.k = nn.Linear(shape.width, inner, bias=False)
        self.v = nn.Linear(shape.width, inner, bias=False)
        self.o = nn.Linear(inner, shape.width, bias=False)
        self.q_norm = nn.RMSNorm(shape.head_width, eps=shape.norm_epsilon)
        self.k_norm = nn.RMSNorm(shape.head_width, eps=shape.norm_epsilon)

    def forward(self, x_BTD: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
        batch, length, _ = x_BTD.shape
        split = (batch, length, self.heads, self.head_width)
        q = rotate(self.q_norm(self.q(x_BTD).view(split)).transpose(1, 2), cos_TK, sin_TK)
        k = rotate(self.k_norm(self.k(x_BTD).view(split)).transpose(1, 2), cos_TK, sin_TK)
        v = self.v(x_BTD).view(split).transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        joined: Tensor = self.o(mixed.transpose(1, 2).reshape(batch, length, -1))
        return joined


class Layer(nn.Module):
    """Attention, then a gated feed-forward part, each added to the stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.attention = Attention(shape)
        self.feed_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x_BTD: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), cos_TK, sin_TK)
        h = self.feed_norm(x_BTD)
        fed: Tensor = self.down(functional.silu(self.gate(h)) * self.up(h))
        return x_BTD + fed


class TinyNetwork(nn.Module):
    """Token ids → hidden states, and hidden states → logits (separately: few positions count)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.apply(self._initialise)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            for norm in (layer.attention.q_norm, layer.attention.k_norm):
                nn.init.constant_(norm.weight, _SHARPNESS)
            for last in (layer.attention.o, layer.down):
                nn.init.normal_(last.weight, std=0.02 / (2 * shape.layers) ** 0.5)

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def angles(self, length: int, offset: int = 0) -> tuple[Tensor, Tensor]:
        """Cosines and sines of positions offset..offset+length, each T x K."""
        half = self.shape.head_width // 2
        frequencies = self.shape.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
        positions = torch.arange(offset, offset + length, dtype=torch.float32)
        angles = torch.outer(positions, frequencies)
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Hidden states, B x T x D, after the last norm."""
        cos, sin = self.angles(ids_BT.shape[1])
        x: Tensor = self.embedding(ids_BT)
        for layer in self.layers:
            x = layer(x, cos, sin)
        normed: Tensor = self.norm(x)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (... x D) → logits (... x V)."""
        return functional.linear(hidden, self.embedding.weight)

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())
