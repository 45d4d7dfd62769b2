"""A model file's own vocabulary: from token ids back to text, without loading the model."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardian.errors import ConfigurationError, ModelUnavailable
from wardian.models.llamacpp.header import HeaderDamaged, read_header

NORMAL, BYTE = 1, 6
"""Source: `llama_token_type` in llama.h"""
BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
BLANK = "\N{LOWER ONE EIGHTH BLOCK}"
"""Stands for a blank in SentencePiece"""
IDENTITY_KEYS = (
    "tokenizer.ggml.model",
    "tokenizer.ggml.pre",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.merges",
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The bytes of each token."""

    pieces: tuple[bytes, ...]
    sha256: str
    """Of all that decides how a text is cut into tokens"""

    def text(self, ids: tuple[int, ...] | list[int]) -> str:
        """Bytes that are no UTF-8 become U+FFFD; ids that are no token, `<?id>`."""
        known = range(len(self.pieces))
        parts = [self.pieces[i] if i in known else f"<?{i}>".encode() for i in ids]
        return b"".join(parts).decode("utf-8", "replace")


def read_vocabulary(path: Path) -> Vocabulary:
    """Raises: ModelUnavailable where it cannot be read; ConfigurationError without a package."""
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise ConfigurationError(
            "To read a model's vocabulary takes the package gguf.",
            "Install it with `pip install 'wardian[train]'`.",
        ) from error
    try:
        read_header(path)  # lengths are checked there; the package believes them
        fields: dict[str, Any] = GGUFReader(path).fields
        values = {key: fields[key].contents() for key in IDENTITY_KEYS if key in fields}
        tokens: list[str] = values["tokenizer.ggml.tokens"]
    except (OSError, HeaderDamaged, ValueError, KeyError, IndexError) as error:
        raise ModelUnavailable(
            f"{path} has no vocabulary that can be read: {error}.", "Name the model's GGUF file."
        ) from error
    kinds: list[int] = values.get("tokenizer.ggml.token_type") or [NORMAL] * len(tokens)
    is_bytes = values.get("tokenizer.ggml.model") == "gpt2"
    decoder = _byte_decoder() if is_bytes else {}
    pieces = tuple(_piece(t, k, decoder) for t, k in zip(tokens, kinds, strict=False))
    whole = json.dumps(values, sort_keys=True, default=str).encode("utf-8", "surrogatepass")
    return Vocabulary(pieces, hashlib.sha256(whole).hexdigest())


def _piece(token: str, kind: int, decoder: dict[str, int]) -> bytes:
    if kind == BYTE and (found := BYTE_PIECE.fullmatch(token)):
        return bytes([int(found[1], 16)])
    if kind != NORMAL:
        return token.encode("utf-8", "replace")
    if decoder:
        return bytes(decoder[c] for c in token if c in decoder)
    return token.replace(BLANK, " ").encode("utf-8", "replace")


def _byte_decoder() -> dict[str, int]:
    """The character that stands for each byte. Source: GPT-2, `bytes_to_unicode`."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }
