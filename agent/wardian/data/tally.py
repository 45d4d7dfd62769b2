"""What has been written so far, counted for the card."""

from collections import Counter
from dataclasses import dataclass, field
from math import floor

from wardian.data.rows import (
    Completion,
    DataRow,
    JudgedRow,
    PairRow,
    PromptRow,
    TextJudgedRow,
    TextStepsRow,
    TokenRow,
)
from wardian.data.source import Made

BINS = 10


@dataclass(slots=True, kw_only=True)
class Tally:
    rows: int = 0
    kind: str = ""
    tokens: int = 0
    trained_tokens: int = 0
    longest: int = 0
    families: Counter[str] = field(default_factory=Counter[str])
    tasks: set[str] = field(default_factory=set[str])
    labels: Counter[str] = field(default_factory=Counter[str])
    rewards: Counter[str] = field(default_factory=Counter[str])
    """By tenths: `0.9` is from 0.9 to below 1.0"""
    step_rewards: Counter[str] = field(default_factory=Counter[str])
    signs: Counter[str] = field(default_factory=Counter[str])
    run_ids: set[str] = field(default_factory=set[str])

    def add(self, made: Made) -> None:
        row = made.row
        self.rows += 1
        self.kind = row.kind
        self.run_ids.update(made.run_ids)
        self.tasks.add(made.group)
        self.families[_family(row)] += 1
        for length, trained in lengths(row):
            self.tokens += length
            self.trained_tokens += trained
            self.longest = max(self.longest, length)
        match row:
            case PromptRow():
                self.rewards[_tenth(row.mean_reward)] += 1
            case TokenRow():
                self._reward(row.reward)
                given = [span.reward for span in row.steps if span.reward is not None]
                self.step_rewards.update(map(_tenth, given))
            case TextStepsRow():
                self._reward(row.reward)
                self.step_rewards.update(map(_tenth, row.step_rewards))
            case JudgedRow() | TextJudgedRow():
                self.labels["good" if row.label else "bad"] += 1
                self.signs.update(row.signs)
            case PairRow():
                self.signs.update(row.signs)
                self._reward(row.chosen.reward)
                self._reward(row.rejected.reward)
            case _:
                self._reward(getattr(row, "reward", None))

    def _reward(self, value: float | None) -> None:
        if value is not None:
            self.rewards[_tenth(value)] += 1


def lengths(row: DataRow) -> list[tuple[int, int]]:
    """Tokens in each sequence that a trainer makes of the row, and those it trains on."""
    match row:
        case TokenRow():
            return [(len(row.token_ids), sum(row.loss_mask))]
        case PairRow():
            return [_length(row.prompt_ids, side) for side in (row.chosen, row.rejected)]
        case JudgedRow():
            return [_length(row.prompt_ids, row.completion)]
        case _:
            return []


def _length(prompt_ids: tuple[int, ...], side: Completion) -> tuple[int, int]:
    return len(prompt_ids) + len(side.token_ids), sum(side.loss_mask)


def _family(row: DataRow) -> str:
    match row:
        case PromptRow():
            return row.family
        case PairRow():
            return row.chosen.origin.family
        case JudgedRow():
            return row.completion.origin.family
        case _:
            return row.origin.family


def _tenth(value: float) -> str:
    return f"{floor(value * BINS + 1e-9) / BINS:.1f}"
