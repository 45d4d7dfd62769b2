"""Rows as a person reads them: the text of their tokens, and which of it is trained on."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from wardian.data.rows import (
    Completion,
    DataRow,
    Dataset,
    JudgedRow,
    PairRow,
    PromptRow,
    TextJudgedRow,
    TextPairRow,
    TextRow,
    TextStepsRow,
    TokenRow,
)
from wardian.data.vocabulary import Vocabulary, read_vocabulary
from wardian.errors import ConfigurationError, ModelUnavailable
from wardian.models.catalogue import TINY_PATH
from wardian.models.llamacpp.identity import file_hash


@dataclass(frozen=True, slots=True)
class Piece:
    """Text, and whether a trainer learns to write it."""

    text: str
    is_trained: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A titled stretch of a row."""

    title: str
    pieces: tuple[Piece, ...]


def parts(row: DataRow, vocabulary: Vocabulary | None) -> Iterator[Part]:
    """Without a vocabulary tokens are shown as their ids."""
    match row:
        case TokenRow():
            title = f"run {row.origin.run_id}, {_named(row.origin.task)}{_reward(row.reward)}"
            yield Part(title, _pieces(row.token_ids, row.loss_mask, vocabulary))
            for span in row.steps:
                if span.reward is not None:
                    marks = ", ".join(f"{k} {v:g}" for k, v in span.marks.items() if v)
                    text = f"{span.reward:g}{f' ({marks})' if marks else ''}"
                    yield Part(f"step {span.step} is worth", (Piece(text, False),))
        case PairRow():
            yield _prompt(row.prompt_ids, vocabulary)
            signs = ", ".join(row.signs)
            yield _side(f"chosen ({signs})", row.chosen, vocabulary)
            yield _side("rejected", row.rejected, vocabulary)
        case JudgedRow():
            yield _prompt(row.prompt_ids, vocabulary)
            label = f"{'good' if row.label else 'bad'} ({', '.join(row.signs)})"
            yield _side(label, row.completion, vocabulary)
        case PromptRow():
            solved = f"{row.solved:.0%} of {row.attempts} attempts solved it"
            yield Part(f"task {row.task} of {row.suite}: {solved}", (Piece(row.prompt, False),))
        case TextRow() | TextStepsRow():
            title = f"run {row.origin.run_id}, {_named(row.origin.task)}{_reward(row.reward)}"
            yield Part(title, tuple(_messages(row.messages)))
        case TextPairRow():
            yield Part("prompt", tuple(_messages(row.prompt, train=False)))
            yield Part(f"chosen ({', '.join(row.signs)})", tuple(_messages(row.chosen)))
            yield Part("rejected", tuple(_messages(row.rejected)))
        case TextJudgedRow():
            yield Part("prompt", tuple(_messages(row.prompt, train=False)))
            label = f"{'good' if row.label else 'bad'} ({', '.join(row.signs)})"
            yield Part(label, tuple(_messages(row.completion)))


def vocabulary_of(dataset: Dataset, model: Path | None = None) -> Vocabulary | None:
    """Of the model that sampled the rows; None where its file is gone or another by now.

    `model` is where the file is now. Raises: ConfigurationError where it is another model's.
    """
    card: dict[str, Any] = dataset.card.get("model") or {}
    if not card:
        return None
    places = [model] if model else [Path(card["path"]), TINY_PATH]
    for place in places:
        try:
            if model or card["file_sha256"] in file_hash(place, place.stat().st_size).values():
                found = read_vocabulary(place)
                break
        except (OSError, ModelUnavailable):
            continue
    else:
        return None
    if card["tokenizer_sha256"] not in ("", found.sha256):
        raise ConfigurationError(
            f"{model} has another tokenizer than the model that sampled these rows.",
            f"Name a file with the vocabulary of {card['name']}.",
        )
    return found


def spread(dataset: Dataset, count: int) -> Iterator[tuple[int, DataRow]]:
    """So many rows, evenly from the first to the last, with their numbers from 1."""
    total = next(
        (int(one["rows"]) for one in dataset.card["files"] if one["name"] == dataset.path.name), 0
    )
    wanted = {place * total // count for place in range(min(count, total))} if count else set[int]()
    for number, row in enumerate(dataset.any_rows()):
        if number in wanted:
            yield number + 1, row
        if number >= max(wanted, default=0):
            return


def _prompt(ids: tuple[int, ...], vocabulary: Vocabulary | None) -> Part:
    return Part("prompt", _pieces(ids, (0,) * len(ids), vocabulary))


def _side(title: str, side: Completion, vocabulary: Vocabulary | None) -> Part:
    return Part(
        f"{title}: run {side.origin.run_id}{_reward(side.reward)}",
        _pieces(side.token_ids, side.loss_mask, vocabulary),
    )


def _pieces(
    ids: Sequence[int], mask: Sequence[int], vocabulary: Vocabulary | None
) -> tuple[Piece, ...]:
    found: list[Piece] = []
    for trained, group in groupby(zip(ids, mask, strict=True), key=lambda pair: bool(pair[1])):
        run = [token for token, _ in group]
        text = vocabulary.text(run) if vocabulary else " ".join(map(str, run))
        found.append(Piece(text, trained))
    return tuple(found)


def _messages(messages: Sequence[dict[str, Any]], *, train: bool = True) -> Iterator[Piece]:
    for message in messages:
        calls = [one["function"] for one in message.get("tool_calls", ())]
        written = [json.dumps(one, ensure_ascii=False) for one in calls]
        text = "\n".join(filter(None, [str(message.get("content") or ""), *written]))
        yield Piece(f"[{message['role']}] ", False)
        yield Piece(text, train and message["role"] == "assistant")
        yield Piece("\n", False)


def _named(task: str) -> str:
    return f"task {task}"


def _reward(value: float | None) -> str:
    return "" if value is None else f", reward {value:g}"
