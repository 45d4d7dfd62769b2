"""The runs of one home, each in a folder of its own: `RUN_ID/trajectory.jsonl`, `RUN_ID/blobs/`."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wardian.budget import Amount
from wardian.errors import RunNotFound, StorageError
from wardian.events import ChildFinished
from wardian.runs.encode import BadLine, parse_line
from wardian.runs.log import LOG_NAME, RunLog
from wardian.runs.trajectory import Trajectory

TAIL_BYTES = 65_536
TAIL_LINES = 64
HEAD_BYTES = 262_144
AFTERWARDS = {"changes_undone", "forked", "rated"}
"""Kinds that may stand behind a run's end."""


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
    path: Path
    parent: str = ""
    """Of a sub-agent's run: that which called it"""


class RunStore:
    """A folder of runs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, run_id: str) -> RunLog:
        """Raises: StorageError."""
        return RunLog.create(self.root / run_id)

    def ids(self) -> list[str]:
        """Run ids, newest first (they are ULIDs, so names sort by time)."""
        if not self.root.is_dir():
            return []
        return sorted((p.parent.name for p in self.root.glob(f"[!.]*/{LOG_NAME}")), reverse=True)

    def list(self) -> Iterator[RunSummary]:
        """Summaries, newest first, of what has begun."""
        return (self._summary(run_id) for run_id in self.ids() if self._has_begun(run_id))

    def find(self, name: str) -> str:
        """The id that `name` means: an id, an unambiguous beginning or end of one, or `last`.

        Raises: RunNotFound.
        """
        ids = self.ids()
        if name == "last" and (begun := [one for one in ids if self._has_begun(one)]):
            # Of the runs a person asked for: a sub-agent's began after its caller's.
            return next((one for one in begun if not self._summary(one).parent), begun[0])
        if name in ids:
            return name
        wanted = name.upper()
        found = [i for i in ids if wanted and (i.startswith(wanted) or i.endswith(wanted))]
        if len(found) == 1:
            return found[0]
        cause = "is the start or end of several runs" if found else "is no stored run"
        raise RunNotFound(f"{name!r} {cause}.", "See `agent runs list`.")

    def path(self, name: str) -> Path:
        """Where the run's log is. Raises: RunNotFound."""
        return self.root / self.find(name) / LOG_NAME

    def load(self, name: str) -> Trajectory:
        """Raises: RunNotFound, StorageError."""
        return Trajectory.read(self.root / self.find(name))

    def consumed(self, name: str) -> Amount:
        """What counts against the budgets of a run that goes on from this one, with what its
        sub-agents consumed whose end it could not record. Raises: RunNotFound, StorageError."""
        run = self.load(name)
        ended = {event.run_id for event in run.events if isinstance(event, ChildFinished)}
        known = set(self.ids())
        lost = (one.run_id for one in run.children if one.run_id not in ended)
        theirs = (self.consumed(run_id) for run_id in lost if run_id in known)
        return sum((replace(amount, seconds=0.0) for amount in theirs), run.consumed)

    def remove(self, name: str) -> str:
        """Delete the run and give its id. Raises: RunNotFound, StorageError."""
        run_id = self.find(name)
        RunLog.reopen(self.root / run_id).close()  # refused while another process holds it
        try:
            shutil.rmtree(self.root / run_id)
        except OSError as error:
            raise StorageError(f"Run {run_id} cannot be removed: {error.strerror}.") from error
        return run_id

    def _has_begun(self, run_id: str) -> bool:
        """Did its process live long enough to write what the run is?"""
        try:
            with (self.root / run_id / LOG_NAME).open("rb") as stream:
                stream.readline()
                return bool(stream.read(1)) or not _is_header(self.root / run_id / LOG_NAME)
        except OSError:
            return False

    def _summary(self, run_id: str) -> RunSummary:
        path = self.root / run_id / LOG_NAME
        started, finished = _ends(path)
        data: dict[str, Any] = started.get("data", {})
        end: dict[str, Any] = finished.get("data", {})
        prompt = data.get("task", {}).get("prompt", "")
        return RunSummary(
            run_id=run_id,
            started=str(started.get("wall", "")),
            prompt=prompt if isinstance(prompt, str) else "(long prompt)",
            model=str(data.get("model", {}).get("name", "")),
            stop=str(end.get("stop", "unfinished")),
            steps=end.get("steps"),
            path=path,
            parent=str(data.get("parent", {}).get("run_id", "")),
        )


def _ends(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `run_started` and `run_finished` records, each empty when missing or damaged."""
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES).split(b"\n")[:3]
        stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
        tail = stream.read().rstrip(b"\n").split(b"\n")[-TAIL_LINES:]
    return _first_of(head, "run_started"), _end_of(tail)


def _end_of(lines: list[bytes]) -> dict[str, Any]:
    """The `run_finished` record, behind which stands what the user did with the run later."""
    for raw in reversed(lines):
        try:
            record = parse_line(raw)
        except BadLine:
            continue
        if record["kind"] in AFTERWARDS:
            continue
        return record if record["kind"] == "run_finished" else {}
    return {}


def _is_header(path: Path) -> bool:
    content = path.read_bytes()
    return not content or bool(_first_of([content], "header"))


def _first_of(lines: list[bytes], kind: str) -> dict[str, Any]:
    for raw in lines:
        try:
            record = parse_line(raw)
        except BadLine:
            continue
        if record["kind"] == kind and isinstance(record["data"], dict):
            return record
    return {}
