"""Rows → tensors of a batch, padded on the right. B rows, T tokens.

TRL's own collators for DPO and KTO count every token of a completion; where it holds tool output
between two replies they would train on what no model wrote. These take the rows' own masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Row = dict[str, Any]


def padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    """B x T."""
    made = torch.full((len(rows), max(map(len, rows))), fill)
    for place, row in enumerate(rows):
        made[place, : len(row)] = torch.tensor(row, dtype=torch.long)
    return made


def _batch(ids: Sequence[list[int]], masks: Sequence[list[int]], pad: int, name: str) -> Row:
    return {
        f"{name}input_ids": padded(ids, pad),
        f"{name}attention_mask": padded([[1] * len(row) for row in ids], 0),
        f"{name}completion_mask": padded(masks, 0),
    }


@dataclass(frozen=True, slots=True)
class SftBatch:
    """For `SFTTrainer`."""

    pad: int

    def __call__(self, rows: Sequence[Row]) -> Row:
        ids = [row["input_ids"] for row in rows]
        return {
            "input_ids": padded(ids, self.pad),
            "attention_mask": padded([[1] * len(row) for row in ids], 0),
            "labels": padded([row["labels"] for row in rows], -100),
        }


@dataclass(frozen=True, slots=True)
class PairBatch:
    """For `DPOTrainer`: 2B rows, the chosen ones first."""

    pad: int

    def __call__(self, rows: Sequence[Row]) -> Row:
        ids: list[list[int]] = []
        masks: list[list[int]] = []
        for side in ("chosen", "rejected"):
            for row in rows:
                ids.append(row["prompt_ids"] + row[f"{side}_ids"])
                masks.append([0] * len(row["prompt_ids"]) + row[f"{side}_mask"])
        return _batch(ids, masks, self.pad, "")


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """For `KTOTrainer`: beside each row its prompt with another row's completion, of which the
    divergence is estimated. Source: Ethayarajh et al., "KTO", arXiv:2402.01306, section 4.1."""

    pad: int

    def __call__(self, rows: Sequence[Row]) -> Row:
        made = {"label": torch.tensor([bool(row["label"]) for row in rows])}
        for name, others in (("", rows), ("KL_", [*rows[-1:], *rows[:-1]])):
            ids = [
                row["prompt_ids"] + other["completion_ids"]
                for row, other in zip(rows, others, strict=True)
            ]
            masks = [
                [0] * len(row["prompt_ids"]) + other["completion_mask"]
                for row, other in zip(rows, others, strict=True)
            ]
            made |= _batch(ids, masks, self.pad, name)
        return made
