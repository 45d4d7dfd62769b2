"""Do the ids of a dataset mean to the base model what they meant to the model that sampled them?

Ids of another tokenizer would be learnt without a complaint, and mean nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from wardian.errors import ConfigurationError
from wardian.train.gguf.vocabulary import inference_template, vocabulary_of

TOKEN_KINDS = {"NORMAL": 1, "CONTROL": 3, "USER_DEFINED": 4, "UNUSED": 5}
"""Source: `llama_token_type` in llama.h"""


def check_same_tokens(tokenizer: Any, size: int, card: Mapping[str, Any], path: str) -> list[str]:
    """Sentences on what differs and may. Raises: ConfigurationError for another tokenizer.

    `size` counts the rows of the base model's embedding.
    """
    sampled: Mapping[str, Any] = card.get("model") or {}
    theirs, ours = sampled.get("tokenizer_sha256"), _identity(tokenizer, size)
    if theirs and ours and theirs != ours:
        raise ConfigurationError(
            f"The rows of {path} were sampled by {sampled.get('name')}, whose tokenizer is another "
            "than the base model's: its ids mean another text here.",
            "Train that model, or build the rows as text: agent data build --rows text.",
        )
    template = sampled.get("template_sha256")
    if template and template != _template_hash(tokenizer):
        other = f"The rows of {path} were written by another chat template than the base model's"
        return [f"{other}, so the base learns to read that one."]
    return []


def check_range(ids: Iterable[int], size: int, path: str) -> None:
    """Raises: ConfigurationError."""
    if (largest := max(ids, default=0)) >= size:
        raise ConfigurationError(
            f"{path} has the token {largest}, and the base model knows {size} tokens.",
            "Train on rows that were sampled by this model, or by one with its tokenizer.",
        )


def _identity(tokenizer: Any, size: int) -> str:
    """As `wardian.data.vocabulary` computes it of a GGUF file; empty where that is not known."""
    try:
        vocabulary = vocabulary_of(tokenizer, size)
    except ConfigurationError:
        return ""
    values = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": vocabulary.pre,
        "tokenizer.ggml.tokens": list(vocabulary.tokens),
        "tokenizer.ggml.token_type": [TOKEN_KINDS[kind] for kind in vocabulary.kinds],
        "tokenizer.ggml.merges": list(vocabulary.merges),
    }
    whole = json.dumps(values, sort_keys=True, default=str).encode("utf-8", "surrogatepass")
    return hashlib.sha256(whole).hexdigest()


def _template_hash(tokenizer: Any) -> str:
    template = inference_template(tokenizer.chat_template) or ""
    return hashlib.sha256(template.encode()).hexdigest()
