"""One set of rows, one tokenizer, one template, and unless it is asked for one set of weights."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardian.data.choice import ANY, Form
from wardian.data.choosing import Attempt, Drop
from wardian.data.vocabulary import read_vocabulary
from wardian.errors import ConfigurationError, ModelUnavailable
from wardian.models.llamacpp.identity import file_hash

SHOWN = 12
"""Characters of a hash, where a person reads it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """What sampled the ids of a dataset."""

    name: str
    model_sha256: str
    template_sha256: str
    path: str
    file_sha256: str
    """Of the file without adapters"""

    def tokenizer_sha256(self) -> str:
        """Empty where the file is gone, or is another one by now. Raises: ConfigurationError."""
        path = Path(self.path)
        try:
            named = file_hash(path, path.stat().st_size)
            if self.file_sha256 not in named.values():
                return ""
            return read_vocabulary(path).sha256
        except (OSError, ModelUnavailable):
            return ""


def form_of(attempts: Sequence[Attempt], asked: Form) -> Form:
    """Raises: ConfigurationError where some runs have token ids and others have none."""
    if asked is not Form.AUTO:
        return asked
    with_ids = sum(one.has_ids for one in attempts)
    if 0 < with_ids < len(attempts):
        raise ConfigurationError(
            f"{with_ids} runs have token ids and {len(attempts) - with_ids} have none: a trainer "
            "takes rows of one kind.",
            "Leave the others out with `--rows tokens`, or write all as text with `--rows text`.",
        )
    return Form.TOKENS if with_ids else Form.TEXT


def of_one_tokenizer(
    attempts: Sequence[Attempt], weights: str, drop: Drop
) -> tuple[list[Attempt], list[Sampler]]:
    """Those attempts whose ids mean the same, and what sampled them.

    Raises: ConfigurationError where they are of several models and nothing says which.
    """
    kept = list(attempts)
    if weights and weights != ANY:
        kept = [one for one in attempts if one.origin.model_sha256.startswith(weights)]
        for one in attempts:
            if not one.origin.model_sha256.startswith(weights):
                drop(one.origin.run_id, "other weights sampled it")
    counts = Counter(_sampler(one) for one in kept)
    samplers = sorted(counts, key=lambda one: (-counts[one], one.model_sha256, one.path))
    identities = {(one.model_sha256, one.template_sha256) for one in samplers}
    if len(identities) > 1 and weights != ANY:
        listed = ", ".join(
            f"{one.model_sha256[:SHOWN]} ({one.name}, {counts[one]} runs)" for one in samplers
        )
        raise ConfigurationError(
            f"Several models sampled these runs: {listed}.",
            f"Choose one: `--weights {samplers[0].model_sha256[:SHOWN]}`. All that share a "
            "tokenizer and a template: `--weights any`.",
        )
    if len(identities) > 1:
        _check_alike(samplers)
    return kept, samplers


def model_card(samplers: Sequence[Sampler]) -> dict[str, Any]:
    """For the dataset's card."""
    if not samplers:
        return {}
    first = samplers[0]
    return {
        "name": first.name,
        "path": first.path,
        "file_sha256": first.file_sha256,
        "model_sha256": sorted({one.model_sha256 for one in samplers}),
        "template_sha256": first.template_sha256,
        "tokenizer_sha256": first.tokenizer_sha256(),
    }


def _sampler(one: Attempt) -> Sampler:
    return Sampler(
        name=one.origin.model,
        model_sha256=one.origin.model_sha256,
        template_sha256=one.template_sha256,
        path=one.model_path,
        file_sha256=one.file_sha256,
    )


def _check_alike(samplers: Sequence[Sampler]) -> None:
    """Raises: ConfigurationError."""
    if len({one.template_sha256 for one in samplers}) > 1:
        raise ConfigurationError(
            "The models that sampled these runs have different chat templates.",
            "Choose the runs of one of them with `--weights`.",
        )
    found = {one: one.tokenizer_sha256() for one in samplers}
    if missing := next((one for one in samplers if not found[one]), None):
        raise ConfigurationError(
            f"{missing.path or missing.name} is not there as it was: its tokenizer is not known.",
            "Put the file back, or choose the runs of one model with `--weights`.",
        )
    if len(set(found.values())) > 1:
        raise ConfigurationError(
            "The models that sampled these runs have different tokenizers: an id means another "
            "text to each.",
            "Choose the runs of one of them with `--weights`.",
        )
