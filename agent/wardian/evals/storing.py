"""Evaluations on disk: `ID/evaluation.jsonl`, a line an outcome, so that one can go on.

The plan is its first line. An attempt is named before its run begins and again with its outcome,
so that what was finished is never asked again; of several outcomes of an attempt the last counts.
Covers: a process that is killed at any moment (a torn last line is cut off), a full disk (what
stood there before is whole), two processes on one evaluation (refused).
Does not cover: network file systems, whose locks and syncs promise less.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self, cast

from wardian.errors import ConfigurationError, StorageError
from wardian.evals.outcomes import SCHEMA, Evaluation, Outcome, Plan, latest
from wardian.settings.places import make_folder

LOG_NAME = "evaluation.jsonl"
WORK_NAME = "work"
"""The workspaces of attempts that go on, or that were cut off before they were graded"""
Key = tuple[str, str, int]
"""Contestant, task, attempt"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An attempt that was begun; its workspace is there as long as it has no outcome."""

    key: Key
    run_id: str
    """Of its run, and the name of its folder in `work`"""


class EvaluationLog:
    """Writes one evaluation. Appending is whole or not at all."""

    def __init__(self, folder: Path, descriptor: int, size: int) -> None:
        self.folder = folder
        self._descriptor = descriptor
        self._size = size

    @classmethod
    def create(cls, root: Path, plan: Plan) -> Self:
        """Raises: StorageError, ConfigurationError."""
        folder = make_folder(root) / plan.id
        try:
            folder.mkdir(mode=0o700)
            flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC
            descriptor = os.open(folder / LOG_NAME, flags, 0o600)
        except OSError as problem:
            raise _storage_error(folder, problem) from problem
        log = cls(folder, descriptor, 0)
        log._lock()
        log._append({"kind": "plan", "schema": SCHEMA, **asdict(plan)}, synced=True)
        return log

    @classmethod
    def reopen(cls, folder: Path) -> Self:
        """Go on with a stored one. Raises: StorageError."""
        try:
            descriptor = os.open(folder / LOG_NAME, os.O_APPEND | os.O_RDWR | os.O_CLOEXEC)
        except OSError as problem:
            raise _storage_error(folder, problem) from problem
        log = cls(folder, descriptor, 0)
        log._lock()
        content = (folder / LOG_NAME).read_bytes()
        log._size = content.rfind(b"\n") + 1
        try:
            os.ftruncate(descriptor, log._size)
        except OSError as problem:
            raise _storage_error(folder, problem) from problem
        return log

    def begin(self, begun: Begun) -> None:
        """Raises: StorageError."""
        self._append({"kind": "began", **asdict(begun)}, synced=False)

    def end(self, outcome: Outcome) -> None:
        """Raises: StorageError."""
        self._append({"kind": "outcome", **outcome.as_json()}, synced=True)

    def close(self) -> None:
        if self._descriptor >= 0:
            # Closing would not do: a process that is just being started has a copy until its exec.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, record: Mapping[str, Any], *, synced: bool) -> None:
        content = json.dumps(record).encode() + b"\n"
        try:
            written = os.write(self._descriptor, content)
            while written < len(content):
                written += os.write(self._descriptor, content[written:])
            if synced:
                os.fdatasync(self._descriptor)
        except OSError as problem:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise _storage_error(self.folder, problem) from problem
        self._size += len(content)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            self.close()
            raise StorageError(
                f"The evaluation {self.folder.name} goes on in another process.",
                "Wait until it ends, or stop it.",
            ) from problem


@dataclass(frozen=True, slots=True)
class EvaluationStore:
    """A folder of evaluations."""

    root: Path

    def ids(self) -> list[str]:
        """Newest first."""
        return sorted((one.parent.name for one in self.root.glob(f"*/{LOG_NAME}")), reverse=True)

    def find(self, name: str) -> str:
        """The id that is `name`, or begins or ends with it, or the `last`.

        Raises: ConfigurationError.
        """
        ids = self.ids()
        if name == "last" and ids:
            return ids[0]
        wanted = name.upper()
        found = [i for i in ids if wanted and (i.startswith(wanted) or i.endswith(wanted))]
        if len(found) == 1:
            return found[0]
        cause = "means several evaluations" if found else "is no stored evaluation"
        raise ConfigurationError(f"{name!r:.100} {cause}.", "See `agent eval list`.")

    def load(self, name: str) -> Evaluation:
        """Raises: ConfigurationError, StorageError."""
        return self.read(name)[0]

    def read(self, name: str) -> tuple[Evaluation, dict[Key, Begun]]:
        """With the attempts that began and have no outcome that counts. Raises: as `load`."""
        folder = self.root / self.find(name)
        plan: Plan | None = None
        outcomes: list[Outcome] = []
        begun: dict[Key, Begun] = {}
        plans, begins, ends = _validators()
        for record in _records(folder / LOG_NAME):
            kind = record.pop("kind", "")
            with suppress(ValueError):  # a damaged line costs what it says, and that is done again
                if kind == "plan":
                    _check_schema(record.pop("schema", ""), folder)
                    plan = plans.validate_python(record)
                elif kind == "began":
                    one: Begun = begins.validate_python(record)
                    begun[one.key] = one
                elif kind == "outcome":
                    outcomes.append(ends.validate_python(record))
                    if outcomes[-1].counts:
                        begun.pop(outcomes[-1].key, None)
        if plan is None:
            raise StorageError(
                f"The evaluation {folder.name} has no plan: it was cut off as it began.",
                f"Remove {folder} and evaluate again.",
            )
        return Evaluation(plan=plan, outcomes=latest(outcomes), path=folder), begun

    def remove(self, name: str) -> str:
        """Delete it, not its runs, and give its id. Raises: ConfigurationError, StorageError."""
        folder = self.root / self.find(name)
        EvaluationLog.reopen(folder).close()  # refused while another process holds it
        try:
            shutil.rmtree(folder)
        except OSError as problem:
            raise _storage_error(folder, problem) from problem
        return folder.name


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Whole lines; one that cannot be read costs only itself. Raises: StorageError."""
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise _storage_error(path, problem) from problem
    for line in content.split(b"\n")[:-1]:
        with suppress(ValueError, RecursionError):
            record: object = json.loads(line)
            if isinstance(record, dict):
                yield cast("dict[str, Any]", record)


def _check_schema(schema: str, folder: Path) -> None:
    if schema != SCHEMA:
        raise StorageError(
            f"{folder} is of another version ({schema!r:.60}).", "Read it with that Wardian."
        )


@cache
def _validators() -> tuple[Any, Any, Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(Plan), TypeAdapter(Begun), TypeAdapter(Outcome)


def _storage_error(path: Path, problem: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be written: {problem.strerror or problem}.",
        "Free space or mend the permissions, then go on with `agent eval --resume`.",
    )
