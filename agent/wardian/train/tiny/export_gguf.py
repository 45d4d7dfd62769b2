"""Writes the trained network as a GGUF file that llama.cpp runs as `qwen3`."""

from pathlib import Path

from wardian.train.gguf.contents import Contents, Dimensions, Vocabulary, write
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
    contents = Contents(
        architecture="qwen3",
        name=name,
        dimensions=_dimensions(network),
        vocabulary=_vocabulary(tokenizer),
        tensors=(
            (tensor_name(key), tensor.detach().float().numpy())
            for key, tensor in network.state_dict().items()
        ),
        metadata={
            "general.description": "Wardian's built-in model: calculates and works with the "
            "files of a folder",
            "general.license": "Apache-2.0",
            "wardian.tools_in_prompt": False,
        },
    )
    write(path, contents, "F16")


def _dimensions(network: TinyNetwork) -> Dimensions:
    shape = network.shape
    return Dimensions(
        context_tokens=CONTEXT_TOKENS,
        width=shape.width,
        layers=shape.layers,
        hidden=shape.hidden,
        heads=shape.heads,
        kv_heads=shape.heads,
        head_width=shape.head_width,
        rope_theta=shape.rope_theta,
        norm_epsilon=shape.norm_epsilon,
        vocabulary=shape.vocabulary,
    )


def _vocabulary(tokenizer: TinyTokenizer) -> Vocabulary:
    control, plain = len(CONTROL_TOKENS), len(PLAIN_TOKENS)
    rest = len(tokenizer.tokens) - control - plain
    return Vocabulary(
        pre=PRE_TOKENIZER,
        tokens=tokenizer.tokens,
        kinds=("CONTROL",) * control + ("USER_DEFINED",) * plain + ("NORMAL",) * rest,
        merges=tuple(f"{a} {b}" for a, b in tokenizer.merges),
        special={"eos": tokenizer.ids[END], "pad": tokenizer.ids[PAD], "bos": tokenizer.ids[PAD]},
        template=TEMPLATE,
    )
