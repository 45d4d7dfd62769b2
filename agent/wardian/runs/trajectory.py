"""Reading a run: every record that can be read, whatever happened to the file."""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from wardian.budget import Amount
from wardian.errors import NewerRun, StorageError
from wardian.events import (
    CallFinished,
    CallStarted,
    ChildStarted,
    ModelReplied,
    Recorded,
    RunFinished,
    RunResumed,
    RunStarted,
)
from wardian.limits import consumed
from wardian.prompt import Conversation
from wardian.runs.encode import (
    SCHEMA,
    BadLine,
    from_json,
    is_newer,
    parse_line,
    schema_of,
    to_event,
)
from wardian.runs.log import BLOBS_NAME, LOG_NAME, open_log
from wardian.types import Message, Usage

TORN = "torn: the last write was cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of the log."""

    seq: int
    wall: str
    """UTC, ISO 8601"""
    mono: float
    """seconds since the log was opened, by the monotonic clock"""
    kind: str
    data: Any
    """As stored, blobs put back"""
    event: Recorded | None
    """None for the header and for kinds this version does not know"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A line that could not be read; the others are not affected."""

    line: int
    problem: str
    raw: bytes

    @property
    def is_torn(self) -> bool:
        """The last one, whose writing was cut off."""
        return self.problem == TORN


@dataclass(frozen=True)
class Trajectory:
    """A stored run: its records, and what can be computed from them."""

    run_id: str
    path: Path
    records: tuple[Record, ...]
    damage: tuple[Damage, ...]

    @classmethod
    def read(cls, folder: Path) -> "Trajectory":
        """Read the run in `folder`. Damaged lines and a torn tail are listed in `damage`.

        Raises: StorageError when there is no log; NewerRun where a newer major version wrote it.
        """
        path = folder / LOG_NAME
        try:
            with os.fdopen(open_log(path), "rb") as stream:
                content = stream.read()
        except OSError as error:
            raise StorageError(
                f"{path} cannot be read: {error.strerror or error}.", "See `agent runs list`."
            ) from error
        records: list[Record] = []
        damage: list[Damage] = []
        for number, raw in enumerate(content.split(b"\n")[:-1], start=1):
            try:
                records.append(_record(raw, folder))
            except BadLine as problem:
                damage.append(Damage(line=number, problem=str(problem), raw=raw))
        if tail := content[content.rfind(b"\n") + 1 :]:
            lines = content.count(b"\n") + 1
            damage.append(Damage(line=lines, problem=TORN, raw=tail))
        _check_version(path, records)
        return cls(run_id=folder.name, path=path, records=tuple(records), damage=tuple(damage))

    @property
    def events(self) -> tuple[Recorded, ...]:
        return tuple(record.event for record in self.records if record.event is not None)

    @property
    def lines(self) -> int:
        """Of the log, without a torn one."""
        return len(self.records) + sum(not d.is_torn for d in self.damage)

    @cached_property
    def started(self) -> RunStarted | None:
        return next((e for e in self.events if isinstance(e, RunStarted)), None)

    @cached_property
    def finished(self) -> RunFinished | None:
        """None while the run goes on, also for the second time, or when it was killed."""
        ends = (e for e in reversed(self.events) if isinstance(e, RunFinished | RunResumed))
        last = next(ends, None)
        return last if isinstance(last, RunFinished) else None

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation; calls that never got a result are answered as cancelled."""
        conversation = Conversation()
        for event in self.events:
            conversation.apply(event)
        return conversation.closed()

    @property
    def uncertain(self) -> tuple[CallStarted, ...]:
        """Calls that began and have no result: whether they took effect is not known."""
        began: dict[str, CallStarted] = {}
        for event in self.events:  # in order: ids may repeat from step to step
            if isinstance(event, CallStarted):
                began[event.call_id] = event
            elif isinstance(event, CallFinished):
                began.pop(event.result.call_id, None)
        return tuple(began.values())

    @property
    def consumed(self) -> Amount:
        """What counts against the budgets of a run that goes on from this one."""
        until_resumed = (
            before.mono
            for before, record in pairwise(self.records)
            if record.mono < before.mono  # the clock of a log starts anew whenever it is opened
        )
        last = self.records[-1].mono if self.records else 0.0
        return consumed(self.events) + Amount(seconds=sum(until_resumed, last))

    @property
    def children(self) -> tuple[ChildStarted, ...]:
        """The runs of its sub-agents, in the order in which they began."""
        return tuple(e for e in self.events if isinstance(e, ChildStarted))

    @property
    def usage(self) -> Usage:
        return sum((e.reply.usage for e in self.events if isinstance(e, ModelReplied)), Usage())


def _check_version(path: Path, records: list[Record]) -> None:
    header = next((record for record in records if record.kind == "header"), None)
    schema = schema_of(header.data) if header else SCHEMA
    name, _, major = schema.partition("/")
    if name != SCHEMA.partition("/")[0] or not major.split(".")[0].isdigit():
        raise StorageError(f"{path} is not a Wardian run (schema {schema!r:.60}).")
    if header and is_newer(header.data):
        raise NewerRun(
            f"{path} was written by a newer Wardian (schema {schema}).",
            "Upgrade Wardian to read it.",
        )


FLAT_BRACKETS = 400
"""With no more of them nothing is nested so deeply that who reads it could fail."""


def _record(raw: bytes, folder: Path) -> Record:
    def load_blob(reference: dict[str, Any]) -> str:
        return read_blob(folder, reference)

    line = parse_line(raw)
    kind = str(line["kind"])
    data = line["data"]
    # Nearly all lines have no blob and are flat: they need no walk in Python.
    if b'"$' in raw or raw.count(b"{") + raw.count(b"[") > FLAT_BRACKETS:
        try:
            data = from_json(data, load_blob)
        except RecursionError as error:
            raise BadLine("nested too deeply") from error
    return Record(
        seq=int(line["seq"]),
        wall=str(line.get("wall", "")),
        mono=float(line.get("mono", 0.0)),
        kind=kind,
        data=data,
        event=to_event(kind, data),
    )


def read_blob(folder: Path, reference: dict[str, Any]) -> str:
    """The text kept beside the log. Raises: BadLine."""
    digest = str(reference["$blob"])
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise BadLine("a blob reference that is no SHA-256")
    try:
        content = (folder / BLOBS_NAME / digest).read_bytes()
    except OSError as error:
        raise BadLine(f"blob {digest[:12]} is missing") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise BadLine(f"blob {digest[:12]} is damaged")
    return content.decode("utf-8", "surrogatepass")
