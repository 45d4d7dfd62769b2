"""Makes small GGUF models with random weights: the real engine runs them, and they know nothing.

Qwen3's architecture, a byte-level BPE vocabulary of a few hundred tokens in ChatML's convention
with Hermes' tool-call tokens.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
USER_DEFINED = ["<tool_call>", "</tool_call>", "<think>", "</think>"]
WORDS = [
    *("the", " the", " and", " in", "on", "er", " a", "user", "assistant", "system", "print"),
    *("name", "arguments", "code", "path", "tool", "tool_call", "im_end", "true", "null"),
    *('{"', '": ', '",', '"}', "}}", "(", "12", "34", "</", "|>", "\n\n"),
]

TEMPLATE = """{%- if tools %}
{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
{{- '# Tools\\n\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\\n</tools>\\nAnswer with <tool_call>\\n{"name": ..., "arguments": ...}' }}
{{- '\\n</tool_call><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- elif message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' + message.content }}
{%- for call in message.tool_calls or [] %}
{%- if message.content or not loop.first %}{{- '\\n' }}{%- endif %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- elif message.role == 'tool' %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content }}
{{- '\\n</tool_response><|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
"""In the manner of Qwen's, short."""


def make_gguf(
    path: Path,
    *,
    template: str | None = TEMPLATE,
    seed: int = 0,
    width: int = 64,
    layers: int = 2,
    context_tokens: int = 4096,
    fillers: int = 0,
    user_defined: Sequence[str] = tuple(USER_DEFINED),
    scale: float = 1.0,
    metadata: dict[str, bool] | None = None,
) -> Path:
    """Write a model to `path`. `fillers` enlarges the vocabulary; `scale` sharpens its choices."""
    rng = np.random.default_rng(seed)
    tokens, kinds, merges = _vocabulary(list(user_defined), fillers)
    writer = gguf.GGUFWriter(path, "qwen3")
    heads, head = 4, width // 4
    writer.add_block_count(layers)
    writer.add_context_length(context_tokens)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(heads)
    writer.add_head_count_kv(2)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)
    for key, value in (metadata or {}).items():
        writer.add_bool(key, value)
    for name, tensor in _weights(rng, len(tokens), width, layers, head, scale).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary(user_defined: list[str], fillers: int) -> tuple[list[str], list[int], list[str]]:
    letters = _byte_letters()
    tokens = [letters[b] for b in range(256)]
    merges: list[str] = []
    for word in WORDS:
        spelled = [letters[b] for b in word.encode()]
        joined = spelled[0]
        for letter in spelled[1:]:
            if joined + letter not in tokens:
                merges.append(f"{joined} {letter}")
                tokens.append(joined + letter)
            joined += letter
    tokens += [f"filler{i}" for i in range(fillers)]
    kinds = [1] * len(tokens) + [3] * len(CONTROL) + [4] * len(user_defined)
    return tokens + CONTROL + user_defined, kinds, merges


def _weights(
    rng: np.random.Generator, vocabulary: int, width: int, layers: int, head: int, scale: float
) -> dict[str, Any]:
    def normal(*shape: int) -> Any:
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    ones = np.ones(width, np.float32)
    made = {
        "token_embd.weight": normal(vocabulary, width),
        "output_norm.weight": ones,
        "output.weight": normal(vocabulary, width) * np.float32(scale),
    }
    for i in range(layers):
        made |= {
            f"blk.{i}.attn_norm.weight": ones,
            f"blk.{i}.attn_q.weight": normal(4 * head, width),
            f"blk.{i}.attn_k.weight": normal(2 * head, width),
            f"blk.{i}.attn_v.weight": normal(2 * head, width),
            f"blk.{i}.attn_q_norm.weight": np.ones(head, np.float32),
            f"blk.{i}.attn_k_norm.weight": np.ones(head, np.float32),
            f"blk.{i}.attn_output.weight": normal(width, 4 * head),
            f"blk.{i}.ffn_norm.weight": ones,
            f"blk.{i}.ffn_gate.weight": normal(2 * width, width),
            f"blk.{i}.ffn_up.weight": normal(2 * width, width),
            f"blk.{i}.ffn_down.weight": normal(width, 2 * width),
        }
    return made


def _byte_letters() -> dict[int, str]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
