"""Rows to files: one run in memory at a time, nothing in place before all of it is.

Every text of a row is searched for the registered secrets first; one that is found ends the export
and leaves no file. What is kept for the whole time is a digest of each row, to leave out what
stands there already, and the runs' ids for the card.
Does not cover: what nobody registered as a secret. Runs are exported as they were recorded, with
the pseudonyms and marks that stood in for what was redacted then.
"""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from wardian.errors import ConfigurationError, StorageError
from wardian.export.filters import Filters
from wardian.export.formats import FORMATS
from wardian.export.rows import LeftOut, Row, Sample
from wardian.export.splitting import Split
from wardian.runs import RunStore, Trajectory
from wardian_policies.redaction.values import KnownValues

DIGEST_BYTES = 16


@dataclass(slots=True, kw_only=True)
class Exported:
    """What came of it."""

    files: list[Row] = field(default_factory=list[Row])
    """name, sha256, bytes, rows"""
    rows: int = 0
    duplicates: int = 0
    read: int = 0
    """Runs looked at"""
    run_ids: dict[str, None] = field(default_factory=dict[str, None])
    """Those that a row comes from"""
    models: Counter[str] = field(default_factory=Counter[str])
    """Runs admitted, by model"""
    left_out: Counter[str] = field(default_factory=Counter[str])
    """Runs or replies that gave no row, by reason"""


class Part:
    """One file being written, under another name until it is whole."""

    def __init__(self, path: Path) -> None:
        """Raises: OSError."""
        self.path = path
        self.rows = self.size = 0
        self.sha256 = hashlib.sha256()
        handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        self.draft = Path(draft)
        self.stream: BinaryIO = os.fdopen(handle, "wb")

    def write(self, line: bytes) -> None:
        self.stream.write(line)
        self.sha256.update(line)
        self.rows += 1
        self.size += len(line)

    def keep(self) -> Row:
        self.stream.close()
        self.draft.replace(self.path)
        digest = self.sha256.hexdigest()
        return {"name": self.path.name, "sha256": digest, "bytes": self.size, "rows": self.rows}

    def drop(self) -> None:
        """Forget it, unless it was kept."""
        with suppress(OSError):
            self.stream.close()
        with suppress(OSError):
            self.draft.unlink(missing_ok=True)


def export(
    store: RunStore,
    run_ids: Sequence[str],
    *,
    format_name: str,
    output: Path,
    filters: Filters | None = None,
    split: Split | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Exported:
    """Write those runs' rows to `output`; without any row, nothing.

    `secrets` are the values that no row may hold, by name.
    Raises: ConfigurationError where a row holds one, StorageError where nothing can be written.
    """
    split = split or Split()
    known = KnownValues(secrets or {})
    done = Exported()
    seen: set[bytes] = set()
    try:
        with ExitStack() as stack:
            parts: dict[str, Part] = {}
            for name, path in split.paths(output).items():
                parts[name] = Part(path)
                stack.callback(parts[name].drop)
            runs = _admitted(store, run_ids, filters or Filters(), done)
            for sample, line in _lines(FORMATS[format_name](runs, store.load), known, done):
                digest = hashlib.sha256(line).digest()[:DIGEST_BYTES]
                if digest in seen:
                    done.duplicates += 1
                    continue
                seen.add(digest)
                parts[split.part(sample.family)].write(line)
                done.rows += 1
                done.run_ids |= dict.fromkeys(sample.run_ids)
            if done.rows:
                done.files = [part.keep() for part in parts.values()]
    except OSError as error:
        raise StorageError(
            f"{output} cannot be written: {error.strerror or error}.", "Choose another place."
        ) from error
    return done


def _admitted(
    store: RunStore, run_ids: Sequence[str], filters: Filters, done: Exported
) -> Iterator[Trajectory]:
    """The runs that can be read whole and pass the filters, one at a time."""
    for run_id in run_ids:
        done.read += 1
        try:
            run = store.load(run_id)
        except StorageError:
            done.left_out["it cannot be read"] += 1
            continue
        if any(not damage.problem.startswith("torn") for damage in run.damage):
            done.left_out["its log is damaged"] += 1
        elif filters.admit(run):
            done.models[str(run.started.model.get("name", "")) if run.started else ""] += 1
            yield run


def _lines(
    samples: Iterator[Sample | LeftOut], known: KnownValues, done: Exported
) -> Iterator[tuple[Sample, bytes]]:
    for one in samples:
        if isinstance(one, LeftOut):
            done.left_out[one.reason] += 1
            continue
        try:
            if known and any(known.find(text) for text in texts(one.row)):
                raise ConfigurationError(
                    f"Run {' or '.join(one.run_ids)} holds a registered secret.",
                    "Nothing was written: leave it out, or remove it with `agent runs rm`.",
                )
            line = json.dumps(one.row, ensure_ascii=False, allow_nan=False)
        except (RecursionError, ValueError):
            done.left_out["it holds what JSON cannot, or not so deep"] += 1
            continue
        # Lone surrogates have no UTF-8, and readers of datasets take nothing else.
        clean = line.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        yield one, clean.encode() + b"\n"


def texts(value: object) -> Iterator[str]:
    """Every text in a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            yield key
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in cast("list[object]", value):
            yield from texts(item)
