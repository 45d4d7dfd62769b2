"""Rows to files: one run in memory at a time, nothing in place before all of it is.

Every text of a row is searched for the registered secrets first; one that is found ends the export
and leaves no file. What is kept for the whole time is a digest of each row, to leave out what
stands there already, and the runs' ids for the card.
Does not cover: what nobody registered as a secret, and what is compressed inside an image. Runs are
exported as they were recorded, with the pseudonyms and marks that stood in for what was redacted.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from wardian.errors import ConfigurationError, StorageError
from wardian.export.atif_file import AtifFile
from wardian.export.cleaning import Cleaning, Sieve, texts
from wardian.export.consent import REFUSED, Consent
from wardian.export.filters import Filters
from wardian.export.formats import FORMATS
from wardian.export.parquet import ParquetFile
from wardian.export.parts import Part, Target
from wardian.export.rows import LeftOut, Row, Sample
from wardian.export.splitting import Split
from wardian.runs import RunStore, Trajectory
from wardian_policies.redaction.values import KnownValues

__all__ = ["Exported", "Part", "export", "holds_secret", "texts"]

TARGETS: dict[str, type[Part] | type[ParquetFile]] = {"atif": AtifFile, "parquet": ParquetFile}
"""By format, where a file is not just a JSON object a line"""


@dataclass(slots=True, kw_only=True)
class Exported:
    """What came of it."""

    files: list[Row] = field(default_factory=list[Row])
    """name, sha256, bytes, rows"""
    rows: int = 0
    duplicates: int = 0
    near_duplicates: int = 0
    contaminated: int = 0
    """Rows that give a protected text away"""
    read: int = 0
    """Runs looked at"""
    run_ids: dict[str, None] = field(default_factory=dict[str, None])
    """Those that a row comes from"""
    models: Counter[str] = field(default_factory=Counter[str])
    """Runs admitted, by model"""
    left_out: Counter[str] = field(default_factory=Counter[str])
    """Runs or replies that gave no row, by reason"""

    @property
    def refused(self) -> int:
        """Runs that may not be exported"""
        return self.left_out[REFUSED]


def export(
    store: RunStore,
    run_ids: Sequence[str],
    *,
    format_name: str,
    output: Path,
    filters: Filters | None = None,
    split: Split | None = None,
    secrets: Mapping[str, str] | None = None,
    cleaning: Cleaning | None = None,
) -> Exported:
    """Write those runs' rows to `output`; without any row, nothing.

    `secrets` are the values that no row may hold, by name.
    Raises: ConfigurationError where a row holds one, StorageError where nothing can be written.
    """
    split = split or Split()
    known = KnownValues(secrets or {})
    sieve = Sieve(cleaning or Cleaning())
    consent = Consent(store.load)
    done = Exported()
    try:
        with ExitStack() as stack:
            parts: dict[str, Target] = {}
            for name, path in split.paths(output).items():
                parts[name] = TARGETS.get(format_name, Part)(path)
                stack.callback(parts[name].drop)
            runs = _admitted(store, run_ids, filters or Filters(), consent, done)
            for sample, line in _lines(FORMATS[format_name](runs, consent.load), known, done):
                if _is_wanted(sieve.reason(sample.row, line), done):
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


def _is_wanted(reason: str, done: Exported) -> bool:
    match reason:
        case "duplicate":
            done.duplicates += 1
        case "near duplicate":
            done.near_duplicates += 1
        case "contaminated":
            done.contaminated += 1
        case _:
            return True
    return False


def _admitted(
    store: RunStore,
    run_ids: Sequence[str],
    filters: Filters,
    consent: Consent,
    done: Exported,
) -> Iterator[Trajectory]:
    """The runs that can be read whole, pass the filters and may be exported, one at a time."""
    for run_id in run_ids:
        done.read += 1
        try:
            run = store.load(run_id)
        except StorageError:
            done.left_out["it cannot be read"] += 1
            continue
        if any(not damage.is_torn for damage in run.damage):
            done.left_out["its log is damaged"] += 1
        elif filters.admit(run):
            if not consent.gives(run):
                done.left_out[REFUSED] += 1
                continue
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
            if holds_secret(one.row, known):
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


def holds_secret(value: object, known: KnownValues) -> bool:
    """Does any text in a JSON value give a registered secret away, in whichever encoding?"""
    return bool(known) and any(known.find(text) for text in texts(value))
