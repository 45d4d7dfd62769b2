"""Which architectures can be converted, and how their weights are called and laid out.

Source: llama.cpp, `conversion/` and `src/llama-arch.cpp`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardian.errors import ConfigurationError
from wardian.train.gguf.contents import Dimensions

ROPE_FREQUENCIES = "rope_freqs.weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """How llama.cpp knows one class of transformers."""

    name: str
    permutes: bool = False
    """Queries and keys are stored with the two halves of each rotated pair side by side."""


ARCHITECTURES: Mapping[str, Architecture] = {
    "LlamaForCausalLM": Architecture(name="llama", permutes=True),
    "MistralForCausalLM": Architecture(name="llama", permutes=True),
    "Qwen2ForCausalLM": Architecture(name="qwen2"),
    "Qwen3ForCausalLM": Architecture(name="qwen3"),
}
ROPE_TYPES = ("default", "linear", "yarn", "llama3")
ELSEWHERE = (
    "Convert it with llama.cpp's convert_hf_to_gguf.py, then register the file: "
    "agent models add FILE --name NAME"
)


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """Of a model's configuration. Raises: ConfigurationError for one that is not supported."""
    named = str(next(iter(config.get("architectures") or []), ""))
    if named not in ARCHITECTURES:
        raise ConfigurationError(
            f"The architecture {named or 'of this model'} cannot be converted here; "
            f"{', '.join(sorted(ARCHITECTURES))} can.",
            ELSEWHERE,
        )
    for key, meaning in _UNSUPPORTED.items():
        if config.get(key):
            raise ConfigurationError(f"A {named} with {meaning} cannot be converted.", ELSEWHERE)
    activation = config.get("hidden_act", "silu")
    if activation != "silu":
        raise ConfigurationError(
            f"A {named} that computes {activation} in place of silu cannot be converted.", ELSEWHERE
        )
    return ARCHITECTURES[named]


_UNSUPPORTED = {
    "use_sliding_window": "sliding-window attention (use_sliding_window)",
    "num_local_experts": "experts (num_local_experts)",
    "mlp_bias": "biases in its feed-forward part (mlp_bias)",
    "quantization_config": "weights that are quantised already (quantization_config)",
}


def dimensions_of(config: Mapping[str, Any]) -> Dimensions:
    """Raises: ConfigurationError."""
    heads = int(config["num_attention_heads"])
    width = int(config["hidden_size"])
    rope: dict[str, Any] = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    kind = rope.get("rope_type", "default")
    if kind not in ROPE_TYPES:
        raise ConfigurationError(
            f"Positions scaled by {kind!r} cannot be converted; {', '.join(ROPE_TYPES)} can.",
            ELSEWHERE,
        )
    return Dimensions(
        context_tokens=int(config["max_position_embeddings"]),
        width=width,
        layers=int(config["num_hidden_layers"]),
        hidden=int(config["intermediate_size"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_width=int(config.get("head_dim") or width // heads),
        rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
        norm_epsilon=float(config["rms_norm_eps"]),
        vocabulary=int(config["vocab_size"]),
        rope_scaling=rope if kind != "default" else {},
    )


class Layout:
    """transformers' names and order of weights → llama.cpp's."""

    def __init__(self, architecture: Architecture, dimensions: Dimensions) -> None:
        import gguf

        self._architecture = architecture
        self._dimensions = dimensions
        wanted = next(k for k, n in gguf.MODEL_ARCH_NAMES.items() if n == architecture.name)
        self._names: Any = gguf.get_tensor_name_map(wanted, dimensions.layers)

    def name(self, name: str) -> str:
        """llama.cpp's name of a parameter. Raises: ConfigurationError where it has none."""
        found = self._names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise ConfigurationError(
                f"llama.cpp's {self._architecture.name} has no place for the weight {name}.",
                ELSEWHERE,
            )
        return str(found)

    def arranged(self, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The values of the parameter `name` in llama.cpp's order of rows."""
        if not self._architecture.permutes:
            return values
        if name.endswith(("q_proj.weight", "q_proj.bias")):
            return paired(values, self._dimensions.heads)
        if name.endswith(("k_proj.weight", "k_proj.bias")):
            return paired(values, self._dimensions.kv_heads)
        return values


def paired(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of each head's first and second half in turn: llama.cpp's `llama` rotates neighbours."""
    rows = values.shape[0]
    return (
        values.reshape(heads, 2, rows // heads // 2, *values.shape[1:])
        .swapaxes(1, 2)
        .reshape(values.shape)
    )


def rope_factors(dimensions: Dimensions) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Llama 3's slower frequencies, a divisor each, where the model has them.

    Source: transformers, `_compute_llama3_parameters`.
    """
    scaling = dimensions.rope_scaling
    if scaling.get("rope_type") != "llama3":
        return
    low, high = scaling.get("low_freq_factor", 1.0), scaling.get("high_freq_factor", 4.0)
    factor, trained = scaling["factor"], scaling["original_max_position_embeddings"]
    half = np.arange(0, dimensions.head_width, 2, dtype=np.float64) / dimensions.head_width
    lengths = 2 * math.pi * dimensions.rope_theta**half
    smooth = np.clip((trained / lengths - low) / (high - low), 0.0, 1.0)
    factors = 1.0 / ((1.0 - smooth) / factor + smooth)
    yield ROPE_FREQUENCIES, factors.astype(np.float32)
