"""What is measured while a model is trained: one JSON object a step in `metrics.jsonl`."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from wardian.errors import StorageError
from wardian.train import processes

METRICS_FILE = "metrics.jsonl"

Values = Mapping[str, float]
Seen = Callable[["Measured"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One step, or something to tell the person in words."""

    step: int
    steps: int
    """Of the whole training; it may stop before"""
    values: Values
    said: str = ""
    part: float = 1.0
    """Of the step, where it is reported while it goes on"""


def unseen(_: Measured) -> None:
    """Nobody looks on."""


class Metrics:
    """The file, written line by line so that what was measured survives a kill."""

    def __init__(self, out: Path, after_step: int = 0) -> None:
        """Lines of steps after `after_step`, which a resumed training does again, are dropped."""
        self.path = out / METRICS_FILE
        if not processes.is_first():
            return
        kept = [row for row in read_metrics(out) if row["step"] <= after_step]
        text = "".join(json.dumps(row) + "\n" for row in kept)
        partial = self.path.with_suffix(".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.path)

    def add(self, step: int, values: Values) -> None:
        if not processes.is_first():
            return
        row = {"step": step, **{name: _finite(value) for name, value in values.items()}}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def read_metrics(out: Path) -> list[dict[str, Any]]:
    """The rows that can be read; none where there is no file. Raises: StorageError."""
    try:
        lines = (out / METRICS_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{out / METRICS_FILE} cannot be read: {error.strerror}.") from error
    return list(_rows(lines))


def _rows(lines: list[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            row: object = json.loads(line)
        except ValueError:
            continue  # torn by a kill
        if isinstance(row, dict) and "step" in row:
            yield cast("dict[str, Any]", row)


def series(rows: list[dict[str, Any]], name: str) -> list[tuple[int, float]]:
    """(step, value) of one measure, where it was measured."""
    return [(row["step"], float(row[name])) for row in rows if row.get(name) is not None]


def _finite(value: float) -> float | None:
    """JSON has no word for what is not a number."""
    number = float(value)
    return round(number, 6) if math.isfinite(number) else None
