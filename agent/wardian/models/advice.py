"""A short list of models that call tools well, by the memory they need. Nothing here is fetched.

Sizes are of the named file, rounded. Those of the 4B, the 14B and gpt-oss stand on cards of the
same quantisation; the others are reckoned from parameters and bits a weight. `agent models pull`
shows the hub's own before it downloads. Memory is what the file and a context of some 8,000 tokens
take, by reckoning.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One model worth trying."""

    spelling: str
    size_gb: float
    memory_gb: int
    """The smallest machine, or card, that it runs on with room to spare"""
    licence: str
    detail: str

    @property
    def card(self) -> str:
        return f"https://huggingface.co/{self.spelling.split(':')[1]}"


ADVICE = (
    Advice(
        spelling="hf:Qwen/Qwen3-1.7B-GGUF:Q8_0",
        size_gb=1.8,
        memory_gb=4,
        licence="Apache-2.0",
        detail="small; single calls, short tasks",
    ),
    Advice(
        spelling="hf:Qwen/Qwen3-4B-GGUF:Q4_K_M",
        size_gb=2.5,
        memory_gb=6,
        licence="Apache-2.0",
        detail="the smallest that keeps to a task of several steps",
    ),
    Advice(
        spelling="hf:Qwen/Qwen3-8B-GGUF:Q4_K_M",
        size_gb=5.0,
        memory_gb=8,
        licence="Apache-2.0",
        detail="the usual choice for a laptop",
    ),
    Advice(
        spelling="hf:Qwen/Qwen3-14B-GGUF:Q4_K_M",
        size_gb=9.0,
        memory_gb=16,
        licence="Apache-2.0",
        detail="slower, steadier",
    ),
    Advice(
        spelling="hf:ggml-org/gpt-oss-20b-GGUF:MXFP4",
        size_gb=12.1,
        memory_gb=16,
        licence="Apache-2.0",
        detail="mixture of experts: as quick as a 4B model",
    ),
    Advice(
        spelling="hf:Qwen/Qwen3-30B-A3B-GGUF:Q4_K_M",
        size_gb=18.6,
        memory_gb=24,
        licence="Apache-2.0",
        detail="mixture of experts: as quick as a 4B model",
    ),
)
"""Smallest first."""


def advised(memory_gb: float) -> Sequence[Advice]:
    """Those that fit, the largest first; the smallest of all where none does."""
    fitting = [a for a in reversed(ADVICE) if a.memory_gb <= memory_gb + 0.5]
    return fitting or ADVICE[:1]
