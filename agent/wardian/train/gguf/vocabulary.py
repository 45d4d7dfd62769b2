"""A fast tokenizer of transformers as llama.cpp reads it.

Covers byte-level BPEs whose way of cutting text llama.cpp knows; `agreement` holds that both give
the same ids. A template's `{% generation %}` marks, which only training reads, become comments
that keep the space around them as it was.
"""

import json
import re
from typing import Any

from wardian.errors import ConfigurationError
from wardian.train.gguf.architecture import ELSEWHERE
from wardian.train.gguf.contents import Vocabulary

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_ENGLISH = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
_STOPS = "|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c"
PRE_TOKENIZERS = {
    _GPT2: "gpt-2",
    _ENGLISH
    + r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+": "qwen2",
    _ENGLISH
    + r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+"
    + r"|\s+(?!\S)|\s+": "qwen35",
    _ENGLISH
    + r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)"
    + r"|\s+": "llama-bpe",
    rf" ?[^(\s{_STOPS})]+": "bloom",
}
"""How text is cut before it is merged → llama.cpp's name. Source: llama.cpp, src/llama-vocab.cpp"""
CUT_TWICE: dict[tuple[str, ...], str] = {(r"\p{N}", _GPT2): "smollm"}
"""The same where one pattern cuts what another left."""
NORMALIZERS = ("NFC",)
"""llama.cpp does not normalise; text in composed form, which nearly all is, is not changed."""

_GENERATION = re.compile(r"\{%([-+]?)\s*(?:end)?generation\s*([-+]?)%\}")


def vocabulary_of(tokenizer: Any, size: int) -> Vocabulary:
    """`tokenizer` is a fast one of transformers; `size` counts the rows of the embedding.

    Raises: ConfigurationError for a kind of tokenizer that is not supported.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise _refused("is not a fast one (the folder has no tokenizer.json)")
    described: dict[str, Any] = json.loads(backend.to_str())
    model = described["model"]
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        kind = "SentencePiece BPE" if model.get("byte_fallback") else model.get("type")
        raise _refused(f"is a {kind} and no byte-level BPE")
    if len(tokenizer) > size:
        raise _refused(f"has {len(tokenizer)} tokens and the model's embedding only {size}")
    tokens, kinds = _tokens(tokenizer, size)
    return Vocabulary(
        pre=_pre_tokenizer(described),
        tokens=tokens,
        kinds=kinds,
        merges=tuple(_merge(pair) for pair in model["merges"]),
        special=_special(tokenizer),
        adds_bos=_adds(tokenizer, 0, tokenizer.bos_token_id),
        adds_eos=_adds(tokenizer, -1, tokenizer.eos_token_id),
        template=inference_template(tokenizer.chat_template),
    )


def inference_template(template: Any) -> str | None:
    """The template without training's marks. Raises: ConfigurationError for several templates."""
    if isinstance(template, dict):
        raise _refused("has several chat templates; keep one as its chat_template")
    return None if template is None else _GENERATION.sub(r"{#\1 \2#}", str(template))


def _refused(what: str) -> ConfigurationError:
    return ConfigurationError(f"The model's tokenizer {what}, so it is not converted.", ELSEWHERE)


def _tokens(tokenizer: Any, size: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names: dict[int, str] = {number: token for token, number in tokenizer.get_vocab().items()}
    added: dict[int, Any] = tokenizer.added_tokens_decoder
    tokens: list[str] = []
    kinds: list[str] = []
    for number in range(size):
        if number in added:
            tokens.append(added[number].content)
            kinds.append("CONTROL" if added[number].special else "USER_DEFINED")
        else:
            tokens.append(names.get(number, f"[PAD{number}]"))
            kinds.append("NORMAL" if number in names else "UNUSED")
    return tuple(tokens), tuple(kinds)


def _merge(pair: Any) -> str:
    """`a b`; tokenizers writes a pair as text or, since a token may hold a space, as a list."""
    return pair if isinstance(pair, str) else " ".join(part.replace(" ", "\u0120") for part in pair)


def _special(tokenizer: Any) -> dict[str, int]:
    found = {kind: getattr(tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "unk", "pad")}
    return {kind: number for kind, number in found.items() if number is not None}


def _adds(tokenizer: Any, place: int, number: int | None) -> bool:
    """Does encoding put the token `number` first (0) or last (-1)?"""
    plain = tokenizer.encode("a", add_special_tokens=False)
    framed = tokenizer.encode("a")
    return number is not None and framed != plain and framed[place] == number


def _pre_tokenizer(described: dict[str, Any]) -> str:
    """Raises: ConfigurationError."""
    normalizer = described.get("normalizer")
    kind = normalizer["type"] if normalizer else NORMALIZERS[0]
    if kind not in NORMALIZERS:
        raise _refused(f"changes text before it is cut ({kind})")
    steps = _steps(described.get("pre_tokenizer") or {})
    patterns = tuple(pattern for step in steps if (pattern := _pattern(step)))
    once: dict[tuple[str, ...], str] = {(one,): name for one, name in PRE_TOKENIZERS.items()}
    known = once | CUT_TWICE
    if patterns not in known:
        raise _refused(f"cuts text in a way that llama.cpp has no name for here {patterns!r}")
    return known[patterns]


def _steps(described: dict[str, Any]) -> list[dict[str, Any]]:
    if described.get("type") != "Sequence":
        return [described] if described else []
    return list(described["pretokenizers"])


def _pattern(step: dict[str, Any]) -> str:
    """What this step cuts by, as a regular expression. Raises: ConfigurationError."""
    match step.get("type"):
        case "ByteLevel":
            if step.get("add_prefix_space"):
                raise _refused("puts a space before every text (add_prefix_space)")
            return _GPT2 if step.get("use_regex", True) else ""
        case "Digits" if step.get("individual_digits"):
            return r"\p{N}"
        case "Split" if step.get("behavior") == "Isolated" and not step.get("invert"):
            pattern = step["pattern"]
            return str(pattern.get("Regex") or re.escape(pattern["String"]))
        case kind:
            raise _refused(f"cuts text by {kind}, in a way that is not known here")
