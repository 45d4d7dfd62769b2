"""Writes the trained network as a GGUF file that llama.cpp runs as `qwen3`."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from wardian.train.tiny.chat import CONTROL_TOKENS, END, PAD, PLAIN_TOKENS, TEMPLATE
from wardian.train.tiny.network import TinyNetwork
from wardian.train.tiny.tokenizer import PRE_TOKENIZER, TinyTokenizer

CONTEXT_TOKENS = 4096
_LAYER_NAMES = {
    "attention_norm": "attn_norm",
    "attention.q": "attn_q",
    "attention.k": "attn_k",
    "attention.v": "attn_v",
    "attention.o": "attn_output",
    "attention.q_norm": "attn_q_norm",
    "attention.k_norm": "attn_k_norm",
    "feed_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def tensor_name(name: str) -> str:
    """llama.cpp's name of a parameter. Source: llama.cpp, src/llama-arch.cpp, LLM_ARCH_QWEN3."""
    if name == "embedding.weight":
        return "token_embd.weight"
    if name == "norm.weight":
        return "output_norm.weight"
    _, layer, rest = name.split(".", 2)
    return f"blk.{layer}.{_LAYER_NAMES[rest.removesuffix('.weight')]}.weight"


def write_gguf(
    path: Path, network: TinyNetwork, tokenizer: TinyTokenizer, name: str = "tiny"
) -> None:
    """Matrices as float16, norms as float32; replaces `path` in one step."""
    import gguf

    partial = path.with_suffix(".partial")
    writer: Any = gguf.GGUFWriter(str(partial), "qwen3")
    shape = network.shape
    writer.add_name(name)
    writer.add_description(
        "Wardian's built-in model: calculates and works with the files of a folder"
    )
    writer.add_license("Apache-2.0")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_tokenizer(writer, tokenizer)
    for key, tensor in network.state_dict().items():
        matrix = tensor.ndim == 2
        values = (
            tensor.detach().to(torch.float32).numpy().astype(np.float16 if matrix else np.float32)
        )
        writer.add_tensor(tensor_name(key), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)


def _add_tokenizer(writer: Any, tokenizer: TinyTokenizer) -> None:
    import gguf

    kinds = [gguf.TokenType.NORMAL] * len(tokenizer.tokens)
    for n in range(len(CONTROL_TOKENS) + len(PLAIN_TOKENS)):
        kinds[n] = (
            gguf.TokenType.CONTROL if n < len(CONTROL_TOKENS) else gguf.TokenType.USER_DEFINED
        )
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(list(tokenizer.tokens))
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{a} {b}" for a, b in tokenizer.merges])
    writer.add_eos_token_id(tokenizer.ids[END])
    writer.add_pad_token_id(tokenizer.ids[PAD])
    writer.add_bos_token_id(tokenizer.ids[PAD])
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)
    writer.add_bool("wardian.tools_in_prompt", False)
