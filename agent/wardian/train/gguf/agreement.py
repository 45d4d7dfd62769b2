"""Does a GGUF file compute what its source model does? Token ids, and logits on fixed prompts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardian.errors import ModelError
from wardian.train.gguf.architecture import ELSEWHERE
from wardian.train.gguf.computing import computed

LIMITS = {
    "F32": 1e-4, "F16": 2e-3, "BF16": 1e-2, "Q8_0": 2e-2, "Q6_K": 0.05, "Q5": 0.1, "Q4": 0.3,
    "IQ4": 0.3, "Q3": 0.8, "Q2": 1.5,
}  # fmt: skip
"""The mean divergence, in nats a token, up to which a quantisation passes: about ten times what
it costs a sound model, and far below what a wrong weight, rotation or template does."""
MAX_PROMPT_TOKENS = 192

TEXTS = (
    "Hello, world! It's 12:30, isn't it? I'LL pay $1,234.56 (or 99%) for item no. 007.",
    'def area(r: float) -> float:\n    """πr²"""\n\treturn 3.14159 * r ** 2  # ≈\n\n\n',
    '{"name": "read_file", "arguments": {"path": "notes/täglich.md", "lines": [1, 20, 300]}}',
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.   Trailing spaces   ",
    "東京は今日も雨です。Привет, мир! مرحبا بالعالم. हिन्दी में लिखो, 안녕하세요 🙂👍🏽",
    "a\r\nb\r\n\r\n\t\tc   d\n   \n<tag attr='x'>…</tag> https://example.com/a_b?c=d&e=f#g",
)
"""Ways of cutting text differ on these. All is composed (NFC), as nearly all text is: llama.cpp
does not compose, some tokenizers do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How near a file is to its source model, over all positions of the prompts."""

    prompts: int
    tokens: int
    mean_divergence: float
    """Kullback-Leibler, source to file, in nats a token"""
    max_divergence: float
    max_difference: float
    """Of a logit, after each position's mean was taken off"""
    same_choice: float
    """Share of positions at which both hold the same token likeliest"""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.tokens} tokens of {self.prompts} prompts: divergence {self.mean_divergence:.2g}"
            f" nats a token (at most {self.max_divergence:.2g}), logits differ by at most "
            f"{self.max_difference:.2g}, the likeliest token is the same in {self.same_choice:.1%}"
        )


def compared(source: Any, tokenizer: Any, file: Path, *, adapter: Path | None = None) -> Agreement:
    """`source` is a causal model of transformers. Raises: ModelError where the ids differ."""
    texts = [*TEXTS, *_conversations(tokenizer)]
    wanted = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    prompts = [ids[:MAX_PROMPT_TOKENS] for ids in wanted]
    given, logits = computed(file, adapter, texts, prompts)
    for text, ours, theirs in zip(texts, wanted, given, strict=True):
        if ours != theirs:
            raise ModelError(*_cut_differently(text, ours, theirs))
    return _measured(list(map(_source_logits(source), prompts)), logits)


def check(agreement: Agreement, quantisation: str) -> None:
    """Raises: ModelError where the file is too far from its source."""
    limit = limit_of(quantisation)
    if not agreement.mean_divergence <= limit:  # NaN is too far as well
        raise ModelError(
            f"The GGUF file does not compute what its source model does: {agreement}; "
            f"{quantisation} may diverge by {limit:g}.",
            "Choose a finer quantisation (--quant F16); if that fails too, please report it.",
        )


def limit_of(quantisation: str) -> float:
    family = next((name for name in LIMITS if quantisation.startswith(name)), "F16")
    return LIMITS[family]


def _conversations(tokenizer: Any) -> list[str]:
    """A short one as the model's own template writes it; none where it has no template."""
    if not tokenizer.chat_template:
        return []
    messages = [
        {"role": "user", "content": "How many lines has notes.txt?"},
        {"role": "assistant", "content": "It has 12 lines."},
        {"role": "user", "content": "And words?"},
    ]
    return [tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)]


def _source_logits(source: Any) -> Any:
    import torch

    def logits(ids: Sequence[int]) -> NDArray[np.float32]:
        with torch.inference_mode():
            at = torch.tensor([list(ids)], device=source.device)
            found: NDArray[np.float32] = source(input_ids=at).logits[0].float().cpu().numpy()
            return found

    return logits


def _measured(
    sources: Sequence[NDArray[np.float32]], files: Sequence[NDArray[np.float32]]
) -> Agreement:
    divergences: list[NDArray[np.float64]] = []
    furthest, same = 0.0, 0
    for source, file in zip(sources, files, strict=True):
        width = min(source.shape[1], file.shape[1])  # an embedding may be padded
        ours, theirs = _log_softmax(source[:, :width]), _log_softmax(file[:, :width])
        divergences.append(np.sum(np.exp(ours) * (ours - theirs), axis=1))
        centred = _centred(source[:, :width]) - _centred(file[:, :width])
        furthest = max(furthest, float(np.abs(centred).max()))
        same += int(np.sum(ours.argmax(1) == theirs.argmax(1)))
    all_T = np.concatenate(divergences)
    return Agreement(
        prompts=len(files),
        tokens=len(all_T),
        mean_divergence=float(all_T.mean()),
        max_divergence=float(all_T.max()),
        max_difference=furthest,
        same_choice=same / len(all_T),
    )


def _log_softmax(logits_TV: NDArray[np.float32]) -> NDArray[np.float64]:
    x = logits_TV.astype(np.float64)
    x = x - x.max(axis=1, keepdims=True)
    shifted: NDArray[np.float64] = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    return shifted


def _centred(logits_TV: NDArray[np.float32]) -> NDArray[np.float64]:
    x = logits_TV.astype(np.float64)
    centred: NDArray[np.float64] = x - x.mean(axis=1, keepdims=True)
    return centred


def _cut_differently(text: str, ours: Sequence[int], theirs: Sequence[int]) -> tuple[str, str]:
    at = next(
        (n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
        min(len(ours), len(theirs)),
    )
    cause = (
        f"llama.cpp and the source model cut the same text into different tokens: {text[:60]!r}"
        f" from token {at} on ({list(ours[at : at + 4])} against {list(theirs[at : at + 4])})."
    )
    return cause, f"The tokenizer cannot be carried over exactly. {ELSEWHERE}"
