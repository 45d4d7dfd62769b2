"""Makes small GGUF models with random weights: the real engine runs them, and they know nothing.

Qwen3's architecture (dense), Qwen3.5's (hybrid) or Mamba's (recurrent), a byte-level BPE vocabulary
of a few hundred tokens in ChatML's convention with Hermes' tool-call tokens.
"""

import random
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
    architecture: str = "qwen3",
) -> Path:
    """Write a model to `path`. `fillers` enlarges the vocabulary; `scale` sharpens its choices.

    `architecture`: `qwen3`, `qwen35` (every second layer recurrent) or `mamba`.
    """
    rng = np.random.default_rng(seed)
    tokens, kinds, merges = _vocabulary(list(user_defined), fillers)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(layers)
    writer.add_context_length(context_tokens)
    writer.add_embedding_length(width)
    writer.add_layer_norm_rms_eps(1e-6)
    if architecture == "mamba":
        writer.add_feed_forward_length(0)
        writer.add_head_count(0)
    else:
        _add_attention(writer, width)
    if architecture != "qwen3":
        _add_state(writer, width, architecture)
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
    for name, tensor in _weights(rng, len(tokens), width, layers, scale, architecture).items():
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
    tokens += _pseudo_words(fillers, set(tokens))
    kinds = [1] * len(tokens) + [3] * len(CONTROL) + [4] * len(user_defined)
    return tokens + CONTROL + user_defined, kinds, merges


def _pseudo_words(count: int, taken: set[str]) -> list[str]:
    """Distinct tokens spelled like those of a real vocabulary: words, their ends, with a blank."""
    drawn = random.Random(0)
    words: dict[str, None] = {}
    while len(words) < count:
        syllables = "".join(
            drawn.choice("bcdfghjklmnprstvwz") + drawn.choice("aeiouy")
            for _ in range(drawn.randrange(1, 5))
        )
        word = drawn.choice(["Ġ", "", ""]) + drawn.choice([syllables, syllables.title()])
        word += drawn.choice(["", "", "n", "s", "r", "ing", "_", "1"])
        if drawn.random() < 0.02:  # as many as in vocabularies in use
            word += drawn.choice(['"', '":', '",', "();", "\\\\"])
        if word not in taken:
            words[word] = None
    return list(words)


def _add_attention(writer: gguf.GGUFWriter, width: int) -> None:
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_key_length(width // 4)
    writer.add_value_length(width // 4)
    writer.add_rope_freq_base(10_000.0)


def _add_state(writer: gguf.GGUFWriter, width: int, architecture: str) -> None:
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_inner_size(2 * width)
    if architecture == "mamba":
        writer.add_ssm_state_size(16)
        writer.add_ssm_time_step_rank(4)
        return
    writer.add_ssm_state_size(width // 2)
    writer.add_ssm_time_step_rank(4)
    writer.add_ssm_group_count(2)
    writer.add_full_attention_interval(2)
    writer.add_rope_dimension_count(width // 4)
    writer.add_rope_dimension_sections([width // 8, 0, 0, 0])


def _weights(
    rng: np.random.Generator,
    vocabulary: int,
    width: int,
    layers: int,
    scale: float,
    architecture: str,
) -> dict[str, Any]:
    def normal(*shape: int) -> Any:
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    made = {
        "token_embd.weight": normal(vocabulary, width),
        "output_norm.weight": np.ones(width, np.float32),
        "output.weight": normal(vocabulary, width) * np.float32(scale),
    }
    for i in range(layers):
        if architecture == "mamba":
            layer = _mamba_layer(normal, width)
        elif architecture == "qwen35":
            layer = _delta_layer(normal, width) if i % 2 == 0 else _gated_layer(normal, width)
        else:
            layer = _attention_layer(normal, width) | _feed_forward(normal, width)
        made |= {f"blk.{i}.{name}": tensor for name, tensor in layer.items()}
    return made


def _attention_layer(normal: Any, width: int) -> dict[str, Any]:
    head = width // 4
    return {
        "attn_norm.weight": np.ones(width, np.float32),
        "attn_q.weight": normal(4 * head, width),
        "attn_k.weight": normal(2 * head, width),
        "attn_v.weight": normal(2 * head, width),
        "attn_q_norm.weight": np.ones(head, np.float32),
        "attn_k_norm.weight": np.ones(head, np.float32),
        "attn_output.weight": normal(width, 4 * head),
    }


def _feed_forward(normal: Any, width: int, norm: str = "ffn_norm") -> dict[str, Any]:
    return {
        f"{norm}.weight": np.ones(width, np.float32),
        "ffn_gate.weight": normal(2 * width, width),
        "ffn_up.weight": normal(2 * width, width),
        "ffn_down.weight": normal(width, 2 * width),
    }


def _gated_layer(normal: Any, width: int) -> dict[str, Any]:
    """Qwen3.5's attention: the query comes with a gate of its own width."""
    layer = _attention_layer(normal, width) | _feed_forward(normal, width, "post_attention_norm")
    return layer | {"attn_q.weight": normal(2 * width, width)}


def _delta_layer(normal: Any, width: int) -> dict[str, Any]:
    """Qwen3.5's gated delta net: two heads of keys, four of values, each as wide as the state."""
    state = width // 2
    return {
        "attn_norm.weight": np.ones(width, np.float32),
        "attn_qkv.weight": normal(8 * state, width),
        "attn_gate.weight": normal(4 * state, width),
        "ssm_conv1d.weight": normal(8 * state, 4),
        "ssm_dt.bias": normal(4),
        "ssm_a": -np.ones(4, np.float32),
        "ssm_beta.weight": normal(4, width),
        "ssm_alpha.weight": normal(4, width),
        "ssm_norm.weight": np.ones(state, np.float32),
        "ssm_out.weight": normal(width, 4 * state),
        **_feed_forward(normal, width, "post_attention_norm"),
    }


def _mamba_layer(normal: Any, width: int) -> dict[str, Any]:
    inner = 2 * width
    return {
        "attn_norm.weight": np.ones(width, np.float32),
        "ssm_in.weight": normal(2 * inner, width),
        "ssm_conv1d.weight": normal(inner, 4),
        "ssm_conv1d.bias": normal(inner),
        "ssm_x.weight": normal(4 + 2 * 16, inner),
        "ssm_dt.weight": normal(inner, 4),
        "ssm_dt.bias": normal(inner),
        "ssm_a": -np.ones((inner, 16), np.float32),
        "ssm_d": np.ones(inner, np.float32),
        "ssm_out.weight": normal(width, inner),
    }


def _byte_letters() -> dict[int, str]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
