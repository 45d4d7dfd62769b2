"""What a GGUF file of a dense decoder holds, and writing it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOAT_TYPES = ("F32", "F16", "BF16")
WRITTEN = (*FLOAT_TYPES, "Q8_0")
"""Quantisations that the gguf package writes; others are llama.cpp's own work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """A decoder's hyperparameters."""

    context_tokens: int
    width: int
    layers: int
    hidden: int
    """Width of the feed-forward part"""
    heads: int
    kv_heads: int
    head_width: int
    rope_theta: float
    norm_epsilon: float
    vocabulary: int
    rope_scaling: dict[str, Any] = field(default_factory=dict[str, Any])
    """As transformers' `rope_parameters` has it; empty where positions are not scaled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """A byte-level BPE as llama.cpp reads it."""

    pre: str
    """llama.cpp's name for how text is split before it is merged (`tokenizer.ggml.pre`)"""
    tokens: tuple[str, ...]
    kinds: tuple[str, ...]
    """NORMAL, CONTROL, USER_DEFINED or UNUSED, one a token"""
    merges: tuple[str, ...]
    special: dict[str, int]
    """`bos`, `eos`, `pad`, … → id"""
    adds_bos: bool = False
    adds_eos: bool = False
    template: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A whole file; the tensors are made one after the other while it is written."""

    architecture: str
    """As llama.cpp names it"""
    name: str
    dimensions: Dimensions
    vocabulary: Vocabulary
    tensors: Iterable[tuple[str, NDArray[np.float32]]]
    """llama.cpp's name → values"""
    metadata: dict[str, str | bool] = field(default_factory=dict[str, "str | bool"])
    """Further keys, such as `general.license`"""


def write(path: Path, contents: Contents, quantisation: str) -> None:
    """Matrices in `quantisation` (one of `WRITTEN`), vectors as float32; replaces `path` at once.

    A row that Q8_0's blocks do not divide stays float16.
    """
    import gguf

    partial = path.with_name(path.name + ".partial")
    writer: Any = gguf.GGUFWriter(str(partial), contents.architecture)
    try:
        writer.add_type("model")
        writer.add_name(contents.name)
        for key, value in contents.metadata.items():
            (writer.add_bool if isinstance(value, bool) else writer.add_string)(key, value)
        _add_dimensions(writer, contents.dimensions)
        _add_vocabulary(writer, contents.vocabulary)
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        writer.add_file_type(_file_type(quantisation))
        for key, values in contents.tensors:
            _add_tensor(writer, key, values, quantisation)
        finish(writer)
        partial.replace(path)
    finally:
        writer.close()
        partial.unlink(missing_ok=True)


def finish(writer: Any) -> None:
    """Write all that was added."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _file_type(quantisation: str) -> Any:
    import gguf

    if quantisation == "F32":
        return gguf.LlamaFileType.ALL_F32
    return gguf.LlamaFileType[f"MOSTLY_{quantisation}"]


def _add_dimensions(writer: Any, of: Dimensions) -> None:
    writer.add_context_length(of.context_tokens)
    writer.add_embedding_length(of.width)
    writer.add_block_count(of.layers)
    writer.add_feed_forward_length(of.hidden)
    writer.add_head_count(of.heads)
    writer.add_head_count_kv(of.kv_heads)
    writer.add_key_length(of.head_width)
    writer.add_value_length(of.head_width)
    writer.add_rope_dimension_count(of.head_width)
    writer.add_rope_freq_base(of.rope_theta)
    writer.add_layer_norm_rms_eps(of.norm_epsilon)
    writer.add_vocab_size(of.vocabulary)
    if of.rope_scaling:
        _add_rope_scaling(writer, of.rope_scaling)


def _add_rope_scaling(writer: Any, scaling: dict[str, Any]) -> None:
    """`llama3` is a tensor and no key; see `architecture.rope_factors`."""
    import gguf

    kind = scaling["rope_type"]
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(scaling["factor"])
    elif kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(scaling["factor"])
        writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])


def _add_vocabulary(writer: Any, of: Vocabulary) -> None:
    import gguf

    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(of.pre)
    writer.add_token_list(list(of.tokens))
    writer.add_token_types([gguf.TokenType[kind] for kind in of.kinds])
    writer.add_token_merges(list(of.merges))
    for kind, number in of.special.items():
        getattr(writer, f"add_{kind}_token_id")(number)
    writer.add_add_bos_token(of.adds_bos)
    writer.add_add_eos_token(of.adds_eos)
    writer.add_add_space_prefix(False)
    if of.template is not None:
        writer.add_chat_template(of.template)


def _add_tensor(writer: Any, name: str, values: NDArray[np.float32], quantisation: str) -> None:
    import gguf

    wanted = "F32" if values.ndim < 2 else quantisation
    if wanted == "Q8_0" and values.shape[-1] % 32:
        wanted = "F16"
    if wanted in ("F32", "F16"):
        writer.add_tensor(name, values.astype(np.float32 if wanted == "F32" else np.float16))
        return
    kind = gguf.GGMLQuantizationType[wanted]
    writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
