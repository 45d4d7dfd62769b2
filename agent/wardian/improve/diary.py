"""What a circle has done, a line a stage, so that it goes on after a kill.

A stage is written down when it is done, with what came of it, and synced; a torn last line is a
stage that was not done.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from wardian.errors import ConfigurationError, StorageError
from wardian.improve.plan import Plan, Stage
from wardian.runs import new_run_id

NAME = "circle.jsonl"
SCHEMA = "wardian-circle/1"
LAST = -1
"""In place of a round's number: what is measured after the last"""
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One stage that is done."""

    round: int
    """From 0"""
    stage: str
    at: str
    seconds: float
    tokens: int
    result: Json


@dataclass(slots=True)
class Diary:
    """The entries of one circle. Holds a lock: one process goes round at a time."""

    folder: Path
    plan: Plan
    id: str
    entries: list[Entry] = field(default_factory=list[Entry])
    _file: Any = None

    @classmethod
    def open(cls, folder: Path, plan: Plan) -> "Diary":
        """Begin one, or go on with the one in `folder`.

        Raises: ConfigurationError where that is of another plan, or in use; StorageError.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = (folder / NAME).open("a+b")
        except OSError as e:
            raise _cannot(folder, e) from e
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            file.close()
            raise ConfigurationError(
                f"The circle in {folder} goes on in another process.",
                "Wait until it ends, or name another folder.",
            ) from e
        file.seek(0)
        content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        file.truncate(len(whole))
        lines = [cast("dict[str, Any]", json.loads(line)) for line in whole.splitlines()]
        if not lines:
            made = cls(folder, plan, new_run_id(), [], file)
            made._write({"schema": SCHEMA, "id": made.id, "plan": asdict(plan)})
            return made
        kept = _plan_of(lines[0], folder)
        if kept.digest != plan.digest:
            file.close()
            raise ConfigurationError(
                f"The folder {folder} holds a circle of another plan ({_changed(kept, plan)}).",
                "Ask for the same, or name another folder with --out.",
            )
        entries = [Entry(**line) for line in lines[1:]]
        return cls(folder, plan, str(lines[0]["id"]), entries, file)

    def result(self, number: int, stage: Stage) -> Json | None:
        """What came of a stage; None where it is not done."""
        own = (e.result for e in reversed(self.entries) if (e.round, e.stage) == (number, stage))
        return next(own, None)

    def done(self, number: int, stage: Stage, result: Json, *, seconds: float, tokens: int) -> None:
        """Raises: StorageError."""
        entry = Entry(
            round=number,
            stage=str(stage),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(seconds, 3),
            tokens=tokens,
            result=result,
        )
        self._write(asdict(entry))
        self.entries.append(entry)

    @property
    def seconds(self) -> float:
        return sum(entry.seconds for entry in self.entries)

    @property
    def tokens(self) -> int:
        return sum(entry.tokens for entry in self.entries)

    def close(self) -> None:
        self._file.close()

    def _write(self, line: Json) -> None:
        try:
            at = self._file.seek(0, os.SEEK_END)
            try:
                self._file.write(json.dumps(line).encode() + b"\n")
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(at)
                raise
        except OSError as e:
            raise _cannot(self.folder, e) from e


def begun_plan(folder: Path) -> Plan | None:
    """Of the circle in `folder`; None where there is none. Raises: StorageError."""
    try:
        first = (folder / NAME).read_bytes().partition(b"\n")[0]
        return _plan_of(json.loads(first), folder) if first else None
    except (OSError, ValueError):
        return None


def _plan_of(line: dict[str, Any], folder: Path) -> Plan:
    """Raises: StorageError."""
    if line.get("schema") != SCHEMA:
        raise StorageError(f"{folder / NAME} is of another version.", "Name another folder.")
    said: dict[str, Any] = dict(line["plan"])
    said["methods"] = tuple(said["methods"])
    return Plan(**said)


def _changed(kept: Plan, wanted: Plan) -> str:
    old, new = asdict(kept), asdict(wanted)
    keys = [key for key in old if old[key] != new[key] and key != "rounds"]
    return ", ".join(f"{key.replace('_', ' ')} was {old[key]!r}" for key in keys[:3])


def _cannot(folder: Path, problem: OSError) -> StorageError:
    return StorageError(
        f"{folder / NAME} cannot be written ({problem.strerror or problem}).",
        "Free some space or mend the permissions; the same command goes on.",
    )
