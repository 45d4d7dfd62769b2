"""The texts of evaluations that no dataset may give away: what they ask, and what they expect."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from wardian.errors import ConfigurationError
from wardian.export.cleaning import said
from wardian.export.overlap import MIN_WORDS, words

ASKED = ("prompt", "question", "problem", "task", "instruction", "input", "messages")
EXPECTED = ("answer", "expected", "solution", "target", "reference", "completion")
GRADED = ("hidden", "verifier")
"""Of a task or a row; what else it has (files to begin with, settings) is no secret"""
MAX_LINE_BYTES = 16 << 20


def protected_texts(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The name of each row with each of its texts."""
    for number, row in enumerate(rows, start=1):
        name = str(row.get("id", number))
        yield from ((name, text) for key in ASKED for text in said(row.get(key)))
        for text in (text for key in (*EXPECTED, *GRADED) for text in said(row.get(key))):
            if len(words(text)) >= MIN_WORDS:  # "4" and "done" are the answers to much else
                yield name, text


def protected_file(path: Path) -> Iterator[tuple[str, str]]:
    """The same of a file: JSON objects a line, or a text a line.

    Raises: ConfigurationError.
    """
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES), b""), 1):
                text = line.decode("utf-8", "replace").strip()
                row = _row(text)
                if row is None:
                    yield f"{path.name}:{number}", text
                else:
                    yield from protected_texts([{"id": f"{path.name}:{number}", **row}])
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror or error}.",
            "Name a file of tasks, or a suite.",
        ) from error


def _row(text: str) -> dict[str, Any] | None:
    try:
        loaded: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else None
