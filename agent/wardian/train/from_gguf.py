"""A GGUF file as a Hugging Face folder: what this project made goes back into training.

Covers dense Llama, Qwen2 and Qwen3 decoders of any quantisation (weights come out as float32)
with a byte-level BPE. transformers has such a loader, which takes a head's width from its own
defaults in place of the file's; weights of the built-in model do not fit then.
Does not cover: scaled positions other than Llama 3's own tensor, experts, SentencePiece.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardian.errors import ConfigurationError
from wardian.train.gguf.architecture import ARCHITECTURES
from wardian.train.gguf.vocabulary import PRE_TOKENIZERS
from wardian.train.libraries import library

REMEDY = "Name the Hugging Face folder that the file was made from."
METADATA_FILE = "gguf.json"
"""Keys of the file that transformers has no place for, for whoever writes a GGUF again."""
KEPT = ("general.description", "general.license", "wardian.tools_in_prompt")
_CONTROL, _USER = 3, 4
"""`gguf.TokenType`"""


def unpack(path: Path, folder: Path) -> Path:
    """Write config, weights and tokenizer below `folder`; it is there whole or not at all.

    Raises: ConfigurationError for a file that is not covered.
    """
    if folder.exists():
        return folder
    import gguf

    reader: Any = gguf.GGUFReader(str(path))
    values = {name: one.contents() for name, one in reader.fields.items()}
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    config = config_of(values, {tensor.name for tensor in reader.tensors})
    _write_json(partial / "config.json", config)
    _write_weights(partial, reader, config)
    _write_tokenizer(partial, values)
    _write_json(partial / METADATA_FILE, {key: values[key] for key in KEPT if key in values})
    partial.replace(folder)
    return folder


def config_of(values: Mapping[str, Any], tensors: set[str]) -> dict[str, Any]:
    """transformers' configuration. Raises: ConfigurationError."""
    name = values["general.architecture"]
    classes = {
        "llama": "LlamaForCausalLM",
        "qwen2": "Qwen2ForCausalLM",
        "qwen3": "Qwen3ForCausalLM",
    }
    if name not in classes or f"{name}.expert_count" in values:
        raise ConfigurationError(
            f"A GGUF file of the architecture {name} cannot be trained.", REMEDY
        )
    if "rope_freqs.weight" in tensors or values.get(f"{name}.rope.scaling.type", "none") != "none":
        raise ConfigurationError("A GGUF file with scaled positions cannot be trained.", REMEDY)

    def of(key: str, default: Any = None) -> Any:
        return values.get(f"{name}.{key}", default)

    heads, width = of("attention.head_count"), of("embedding_length")
    return {
        "architectures": [classes[name]],
        "model_type": name,
        "hidden_size": width,
        "intermediate_size": of("feed_forward_length"),
        "num_hidden_layers": of("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": of("attention.head_count_kv", heads),
        "head_dim": of("attention.key_length", width // heads),
        "hidden_act": "silu",
        "max_position_embeddings": of("context_length"),
        "rms_norm_eps": float(np.float32(of("attention.layer_norm_rms_epsilon"))),
        "rope_theta": float(of("rope.freq_base", 10_000.0)),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": float(of("rope.freq_base", 10_000.0)),
        },
        "vocab_size": len(values["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": "output.weight" not in tensors,
        "attention_bias": "blk.0.attn_q.bias" in tensors,
        "bos_token_id": values.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": values.get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": values.get("tokenizer.ggml.padding_token_id"),
        "dtype": "float32",
    }


def halved(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """The inverse of `architecture.paired`: each head's rotated pairs apart again."""
    rows = values.shape[0]
    return (
        values.reshape(heads, rows // heads // 2, 2, *values.shape[1:])
        .swapaxes(1, 2)
        .reshape(values.shape)
    )


def _write_weights(folder: Path, reader: Any, config: Mapping[str, Any]) -> None:
    import gguf

    permutes = ARCHITECTURES[config["architectures"][0]].permutes
    names = _names(config)
    found: dict[str, NDArray[np.float32]] = {}
    for tensor in reader.tensors:
        if tensor.name not in names:
            raise ConfigurationError(f"The file has a tensor {tensor.name} of unknown use.", REMEDY)
        shape = tuple(int(n) for n in reversed(tensor.shape))
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        values = np.ascontiguousarray(values.reshape(shape))
        if permutes and ".attn_q." in tensor.name:
            values = halved(values, config["num_attention_heads"])
        if permutes and ".attn_k." in tensor.name:
            values = halved(values, config["num_key_value_heads"])
        found[names[tensor.name]] = np.ascontiguousarray(values)
    library("safetensors.numpy").save_file(
        found, str(folder / "model.safetensors"), metadata={"format": "pt"}
    )


def _names(config: Mapping[str, Any]) -> dict[str, str]:
    """llama.cpp's name of a tensor → transformers'."""
    made = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "output.weight": "lm_head.weight",
    }
    parts = {
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "attn_output": "self_attn.o_proj",
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        **{f"attn_{one}": f"self_attn.{one}_proj" for one in "qkv"},
        **{f"ffn_{one}": f"mlp.{one}_proj" for one in ("gate", "up", "down")},
    }
    for layer in range(config["num_hidden_layers"]):
        for short, long in parts.items():
            for end in ("weight", "bias"):
                made[f"blk.{layer}.{short}.{end}"] = f"model.layers.{layer}.{long}.{end}"
    return made


def _write_tokenizer(folder: Path, values: Mapping[str, Any]) -> None:
    """Raises: ConfigurationError."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pre = values.get("tokenizer.ggml.pre", "")
    patterns = {known: pattern for pattern, known in PRE_TOKENIZERS.items()}
    if values.get("tokenizer.ggml.model") != "gpt2" or pre not in patterns:
        raise ConfigurationError(f"The file's tokenizer ({pre or 'not BPE'}) is not known.", REMEDY)
    tokens: list[str] = values["tokenizer.ggml.tokens"]
    kinds: list[int] = values["tokenizer.ggml.token_type"]
    merges = [tuple(pair.split(" ", 1)) for pair in values["tokenizer.ggml.merges"]]
    made: Any = Tokenizer(models.BPE({t: n for n, t in enumerate(tokens)}, merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(patterns[pre]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    named = zip(tokens, kinds, strict=True)
    for token, kind in named:
        if kind in (_CONTROL, _USER):
            added = AddedToken(token, special=kind == _CONTROL, normalized=False)
            (made.add_special_tokens if kind == _CONTROL else made.add_tokens)([added])
    special: dict[str, str] = {
        f"{kind}_token": tokens[values[key]]
        for kind, key in (
            ("bos", "tokenizer.ggml.bos_token_id"),
            ("eos", "tokenizer.ggml.eos_token_id"),
            ("pad", "tokenizer.ggml.padding_token_id"),
        )
        if key in values
    }
    wrapped: Any = PreTrainedTokenizerFast(tokenizer_object=made, **special)
    wrapped.chat_template = values.get("tokenizer.chat_template")
    wrapped.save_pretrained(str(folder))


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
