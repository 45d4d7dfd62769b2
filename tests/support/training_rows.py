"""Small datasets for training, with their cards, as `agent data build` would write them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from wardian.data.rows import (
    SCHEMA,
    Completion,
    DataRow,
    JudgedRow,
    Origin,
    PairRow,
    Status,
    TokenRow,
    written,
)


def write_rows(path: Path, goal: str, rows: Sequence[DataRow]) -> Path:
    content = b"".join(written(row) + b"\n" for row in rows)
    path.write_bytes(content)
    card = {
        "schema": SCHEMA,
        "goal": goal,
        "kind": rows[0].kind if rows else "tokens",
        "files": [{"name": path.name, "sha256": hashlib.sha256(content).hexdigest()}],
    }
    path.with_name(path.name + ".card.json").write_text(json.dumps(card), encoding="utf-8")
    return path


def token_row(
    prompt: Sequence[int], reply: Sequence[int], *, task: str = "t", status: Status = Status.OK
) -> TokenRow:
    ids = (*prompt, *reply)
    return TokenRow(
        origin=origin(task),
        token_ids=ids,
        loss_mask=(*[0] * len(prompt), *[1] * len(reply)),
        logprobs=(0.0,) * len(ids),
        constrained=(0,) * len(ids),
        sampling={},
        reward=1.0,
        status=status,
        steps=(),
    )


def pair_row(prompt: Sequence[int], chosen: Sequence[int], rejected: Sequence[int]) -> PairRow:
    return PairRow(
        prompt_ids=tuple(prompt),
        chosen=completion(chosen),
        rejected=completion(rejected),
        step=1,
        signs=("reward",),
    )


def judged_row(prompt: Sequence[int], reply: Sequence[int], *, good: bool) -> JudgedRow:
    return JudgedRow(
        prompt_ids=tuple(prompt),
        completion=completion(reply),
        label=good,
        step=1,
        signs=("reward",),
    )


def completion(ids: Sequence[int], mask: Sequence[int] | None = None) -> Completion:
    return Completion(
        origin=origin("t"),
        token_ids=tuple(ids),
        loss_mask=tuple(mask or [1] * len(ids)),
        logprobs=(0.0,) * len(ids),
    )


def origin(task: str) -> Origin:
    return Origin(run_id=f"run-{task}", task=task)
