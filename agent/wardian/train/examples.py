"""Rows of a dataset as what the trainers take: token ids and which of them count.

A row without a token that counts is left out, and so is one longer than `max_tokens`: a row cut
short would teach the model to stop in the middle, or to answer what it has not read.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardian.data.rows import (
    Completion,
    DataRow,
    Dataset,
    JudgedRow,
    Origin,
    PairRow,
    Status,
    TextJudgedRow,
    TextPairRow,
    TextRow,
    TokenRow,
)
from wardian.errors import ConfigurationError
from wardian.train.recipe import Method, Recipe
from wardian.train.same_tokens import check_range, check_same_tokens
from wardian.train.text_rows import Encoder

Row = dict[str, Any]
"""Columns of lists of whole numbers, as the collators of `trl_runs` take them"""

MORE = "Collect more runs, or raise training.max_tokens where rows are too long."
WANTED: dict[Method, tuple[str, ...]] = {
    Method.SFT: ("tokens", "text"),
    Method.DPO: ("pair", "text_pair"),
    Method.KTO: ("judged", "text_judged"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    train: list[Row]
    dev: list[Row]
    left_out: dict[str, int]
    """Why → how many rows"""
    notices: tuple[str, ...] = ()


def load_examples(recipe: Recipe, encoder: Encoder, vocabulary: int) -> Examples:
    """`vocabulary`: how many tokens the base knows. Raises: ConfigurationError, StorageError."""
    left_out: Counter[str] = Counter()
    rows = _read(Path(recipe.data), recipe, encoder, left_out)
    if recipe.dev.data:
        mine, apart = rows, _read(Path(recipe.dev.data), recipe, encoder, Counter())
    else:
        mine, apart = _parted(rows, recipe.dev.share, recipe.training.seed)
    train, dev = [row for _, row in mine], [row for _, row in apart]
    _check(recipe, train, left_out)
    check_range((max(_ids(row)) for row in (*train, *dev)), vocabulary, recipe.data)
    notices = check_same_tokens(
        encoder.tokenizer, vocabulary, Dataset.open(Path(recipe.data)).card, recipe.data
    )
    random.Random(recipe.training.seed).shuffle(train)  # noqa: S311 - reproducible order
    return Examples(train=train, dev=dev, left_out=dict(left_out), notices=tuple(notices))


Keyed = tuple[str, Row]
"""What a row belongs to (its task, or else its run), and the row"""


def _read(path: Path, recipe: Recipe, encoder: Encoder, left_out: Counter[str]) -> list[Keyed]:
    dataset = Dataset.open(path)
    dataset.check_unchanged()
    if dataset.kind not in WANTED[recipe.method]:
        raise ConfigurationError(
            f"{path} was built for {dataset.goal}, and {recipe.method} cannot learn from it.",
            f"Build one: agent data build --for {recipe.method}.",
        )
    made: list[Keyed] = []
    for row in dataset.any_rows():
        if isinstance(row, TokenRow | TextRow) and row.status is Status.ENV_ERROR:
            left_out["ended by an error that was not the model's"] += 1
            continue
        example = example_of(row, encoder)
        if example is None:
            left_out["holds nothing to learn"] += 1
        elif length(example) > recipe.training.max_tokens:
            left_out[f"longer than {recipe.training.max_tokens} tokens"] += 1
        else:
            made.append((key_of(row), example))
    return made


def example_of(row: DataRow, encoder: Encoder) -> Row | None:
    """None where no token counts. Raises: ConfigurationError for a row of another method."""
    match row:
        case TokenRow():
            return _sft(row.token_ids, row.loss_mask)
        case TextRow():
            return _sft(*encoder.conversation(row.messages, row.tools))
        case PairRow():
            return _pair(row.prompt_ids, row.chosen, row.rejected)
        case JudgedRow():
            return _judged(row.prompt_ids, row.completion, label=row.label)
        case TextPairRow():
            prompt, chosen = encoder.reply(row.prompt, row.chosen, row.tools)
            _, rejected = encoder.reply(row.prompt, row.rejected, row.tools)
            return _pair(prompt, _all(chosen, row.origin), _all(rejected, row.origin))
        case TextJudgedRow():
            prompt, reply = encoder.reply(row.prompt, row.completion, row.tools)
            return _judged(prompt, _all(reply, row.origin), label=row.label)
        case _:
            raise ConfigurationError(f"A row of the kind {row.kind!r} is none to learn from.")


def _all(ids: Sequence[int], origin: Origin) -> Completion:
    return Completion(
        origin=origin, token_ids=tuple(ids), loss_mask=(1,) * len(ids), logprobs=(0.0,) * len(ids)
    )


def _sft(ids: Sequence[int], mask: Sequence[int]) -> Row | None:
    # The first token is predicted from nothing, so it cannot count.
    if not any(mask[1:]):
        return None
    labels = [token if counts else -100 for token, counts in zip(ids, mask, strict=True)]
    return {"input_ids": list(ids), "labels": labels}


def _pair(prompt: Sequence[int], chosen: Completion, rejected: Completion) -> Row | None:
    if not (any(chosen.loss_mask) and any(rejected.loss_mask)):
        return None
    return {
        "prompt_ids": list(prompt),
        "chosen_ids": list(chosen.token_ids),
        "chosen_mask": list(chosen.loss_mask),
        "rejected_ids": list(rejected.token_ids),
        "rejected_mask": list(rejected.loss_mask),
    }


def _judged(prompt: Sequence[int], completion: Completion, *, label: bool) -> Row | None:
    if not any(completion.loss_mask):
        return None
    return {
        "prompt_ids": list(prompt),
        "completion_ids": list(completion.token_ids),
        "completion_mask": list(completion.loss_mask),
        "label": label,
    }


def length(row: Row) -> int:
    """Tokens of the longest sequence that the row becomes."""
    if "input_ids" in row:
        return len(row["input_ids"])
    sides = ("chosen_ids", "rejected_ids", "completion_ids")
    return len(row["prompt_ids"]) + max(len(row[side]) for side in sides if side in row)


def _ids(row: Row) -> list[int]:
    """All of a row."""
    return [token for name, values in row.items() if name.endswith("_ids") for token in values]


def origin_of(row: DataRow) -> Origin | None:
    match row:
        case PairRow():
            return row.chosen.origin
        case JudgedRow():
            return row.completion.origin
        case _:
            return getattr(row, "origin", None)


def key_of(row: DataRow) -> str:
    origin = origin_of(row)
    return "" if origin is None else origin.task or origin.run_id


def _parted(rows: list[Keyed], share: float, seed: int) -> tuple[list[Keyed], list[Keyed]]:
    """All rows of one task on one side: else the dev rows would be known by heart."""
    names = sorted({key for key, _ in rows})
    random.Random(seed).shuffle(names)  # noqa: S311 - reproducible choice
    wanted = round(share * len(names))
    apart = set(names[:wanted]) if len(names) > wanted else set[str]()
    train = [one for one in rows if one[0] not in apart]
    return train, [one for one in rows if one[0] in apart]


def _check(recipe: Recipe, train: list[Row], left_out: Counter[str]) -> None:
    """Raises: ConfigurationError for data that nothing can be learnt from."""
    if not train:
        raise ConfigurationError(f"{recipe.data} has no row to train on{_why(left_out)}.", MORE)
    if recipe.method is Method.KTO:
        labels = {row["label"] for row in train}
        if len(labels) == 1:
            only = "good" if labels == {True} else "bad"
            raise ConfigurationError(
                f"All {len(train)} rows of {recipe.data} are marked {only}: there is nothing to "
                "tell apart.",
                "Add rows of the other kind, or train with sft on the good ones.",
            )
    if recipe.method is Method.DPO and all(_is_same(row) for row in train):
        raise ConfigurationError(
            f"In every pair of {recipe.data} both replies are the same.", "Build the dataset anew."
        )


def _is_same(row: Row) -> bool:
    return bool(row["chosen_ids"] == row["rejected_ids"])


def _why(left_out: Counter[str]) -> str:
    reasons = ", ".join(f"{number} {why}" for why, number in sorted(left_out.items()))
    return f" ({reasons})" if reasons else ""
