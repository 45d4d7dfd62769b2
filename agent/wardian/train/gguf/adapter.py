"""A LoRA adapter of PEFT as a GGUF adapter for `--adapter`.

Covers plain LoRA on linear layers, rank-stabilised too. What a GGUF adapter cannot hold (DoRA,
trained embeddings, whole modules, biases) is refused: merge it.

Source: llama.cpp, convert_lora_to_gguf.py.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardian.errors import ConfigurationError, ModelUnavailable
from wardian.train.gguf.architecture import Layout, architecture_of, dimensions_of
from wardian.train.gguf.contents import finish
from wardian.train.gguf.sources import read_json

MERGE = "Merge it into its base model instead (leave out --as-adapter)."
_WEIGHT = re.compile(r"base_model\.model\.(?P<name>.+)\.lora_(?P<side>[AB])\.weight")


def write_adapter(path: Path, adapter: Path, base_config: dict[str, Any], name: str) -> None:
    """Write the adapter in float32; replaces `path` at once. Raises: WardianError."""
    import gguf

    described = read_json(adapter / "adapter_config.json")
    _check(described)
    architecture = architecture_of(base_config)
    layout = Layout(architecture, dimensions_of(base_config))
    partial = path.with_name(path.name + ".partial")
    writer: Any = gguf.GGUFWriter(str(partial), architecture.name)
    try:
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", _alpha(described))
        writer.add_name(name)
        for key, values in _tensors(adapter, layout):
            writer.add_tensor(key, values)
        finish(writer)
        partial.replace(path)
    finally:
        writer.close()
        partial.unlink(missing_ok=True)


def _check(described: dict[str, Any]) -> None:
    """Raises: ConfigurationError."""
    kind = described.get("peft_type")
    problems = {
        f"is a {kind} and no LoRA": kind != "LORA",
        "is a DoRA": bool(described.get("use_dora")),
        "trains whole modules (modules_to_save)": bool(described.get("modules_to_save")),
        "trains tokens of its own": bool(described.get("trainable_token_indices")),
        "trains biases": described.get("bias", "none") != "none",
        "has ranks of its own for some layers": bool(described.get("rank_pattern")),
        "has scales of its own for some layers": bool(described.get("alpha_pattern")),
    }
    for problem, there in problems.items():
        if there:
            raise ConfigurationError(
                f"The adapter {problem}, which a GGUF adapter cannot hold.", MERGE
            )


def _alpha(described: dict[str, Any]) -> float:
    """llama.cpp scales by alpha / rank; a rank-stabilised adapter by alpha / √rank."""
    alpha = float(described["lora_alpha"])
    return alpha * math.sqrt(described["r"]) if described.get("use_rslora") else alpha


def _tensors(adapter: Path, layout: Layout) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Raises: ConfigurationError, ModelUnavailable."""
    import safetensors.torch

    files: Any = safetensors.torch  # its types are partly unknown
    try:
        weights: dict[str, Any] = files.load_file(adapter / "adapter_model.safetensors")
    except (OSError, safetensors.SafetensorError) as e:
        raise ModelUnavailable(
            f"The adapter's weights cannot be read ({e}).", "Train or copy it again."
        ) from e
    for key in sorted(weights):
        found = _WEIGHT.fullmatch(key)
        if found is None:
            raise ConfigurationError(
                f"The adapter holds {key}, which a GGUF adapter cannot.", MERGE
            )
        name = f"{found['name']}.weight"
        values: NDArray[np.float32] = weights[key].float().numpy()
        if found["side"] == "B":  # whose rows are the layer's own
            values = layout.arranged(name, values)
        yield f"{layout.name(name)}.lora_{found['side'].lower()}", values
