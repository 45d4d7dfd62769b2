"""A run in a list: what the first and last lines of its log say."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from wardian.runs.encode import KINDS, BadLine, parse_line
from wardian.runs.log import open_log

TAIL_BYTES = 65_536
TAIL_LINES = 64
HEAD_BYTES = 262_144
AFTERWARDS = {
    "changes_undone",
    "forked",
    "rated",
    "rewarded",
    "compared",
    "tagged",
    "labelled",
}
"""Kinds that may stand behind a run's end; those of newer versions may too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run in a list, from the first and last lines of its log alone."""

    run_id: str
    started: str
    """UTC, ISO 8601; empty when the log's beginning is damaged"""
    prompt: str
    model: str
    stop: str
    """A `Stop` value, or `unfinished`"""
    steps: int | None
    """None where the last lines of an unfinished run do not say it"""
    path: Path
    parent: str = ""
    """Of a sub-agent's run: that which called it"""
    fork: str = ""
    """Of a fork: the run that it restarts"""


def summarised(path: Path) -> RunSummary | None:
    """The run whose log is at `path`; None while it has not begun, and where there is none."""
    try:
        with os.fdopen(open_log(path), "rb") as stream:
            lines = stream.read(HEAD_BYTES).split(b"\n")
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL_BYTES))
            tail = stream.read().rstrip(b"\n").split(b"\n")[-TAIL_LINES:]
    except OSError:
        return None
    if not any(lines) or (not any(lines[1:]) and _first_of(lines[:1], "header")):
        return None  # its process died before it wrote what the run is, or is about to
    started, finished = _first_of(lines[:3], "run_started"), _end_of(tail)
    data: dict[str, Any] = started.get("data", {})
    end: dict[str, Any] = finished.get("data", {})
    prompt = _dict(data.get("task")).get("prompt", "")
    return RunSummary(
        run_id=path.parent.name,
        started=str(started.get("wall", "")),
        prompt=prompt if isinstance(prompt, str) else "(long prompt)",
        model=str(_dict(data.get("model")).get("name", "")),
        stop=str(end.get("stop", "unfinished")),
        steps=steps if isinstance(steps := end.get("steps"), int) else _last_step(tail),
        path=path,
        parent=str(_dict(data.get("parent")).get("run_id", "")),
        fork=str(_dict(data.get("fork")).get("run_id", "")),
    )


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _first_of(lines: list[bytes], kind: str) -> dict[str, Any]:
    for raw in lines:
        try:
            record = parse_line(raw)
        except BadLine:
            continue
        if record["kind"] == kind and isinstance(record["data"], dict):
            return record
    return {}


def _end_of(lines: list[bytes]) -> dict[str, Any]:
    """The `run_finished` record, behind which stands what the user did with the run later."""
    for raw in reversed(lines):
        try:
            record = parse_line(raw)
        except BadLine:
            continue
        kind = record["kind"]
        if kind in KINDS and kind not in AFTERWARDS:
            return _first_of([raw], "run_finished")
    return {}


def _last_step(lines: list[bytes]) -> int | None:
    """Of the last reply of a run without an end."""
    for raw in reversed(lines):
        if b'"model_replied"' in raw and (record := _first_of([raw], "model_replied")):
            step = record["data"].get("step")
            return step if isinstance(step, int) else None
    return None
