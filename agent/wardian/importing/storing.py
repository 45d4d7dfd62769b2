"""Imported runs in the store: new runs, marked with where they come from."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wardian.importing.atif import atif_log
from wardian.importing.openai import openai_log
from wardian.importing.reading import Source, Unreadable, rows_of
from wardian.importing.turns import Log, events_of
from wardian.runs import RunStore, new_run_id

TAG = "imported"
FORMATS: dict[str, Callable[[object], Log]] = {"atif": atif_log, "openai": openai_log}
"""name → what makes a log of a row"""


@dataclass(slots=True, kw_only=True)
class Imported:
    """What came of it."""

    run_ids: list[str] = field(default_factory=list[str])
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter[str])
    """Rows that became no run, by reason"""


def import_file(
    store: RunStore, path: Path, *, format_name: str, tags: tuple[str, ...] = ()
) -> Imported:
    """A run for each row. Raises: StorageError; ConfigurationError where an extra is missing."""
    done = Imported()
    for source, row in rows_of(path):
        done.rows += 1
        try:
            if isinstance(row, Unreadable):
                raise row
            log = FORMATS[format_name](row)
            done.run_ids.append(keep(store, log, source, format_name, tags))
        except Unreadable as problem:
            done.left_out[str(problem)] += 1
        except (RecursionError, ValueError):
            done.left_out["it holds what no run can"] += 1
    return done


def keep(
    store: RunStore, log: Log, source: Source, format_name: str, tags: tuple[str, ...] = ()
) -> str:
    """Write the run and give its id. Raises: StorageError, ValueError; nothing is then left."""
    run_id = new_run_id()
    mark: dict[str, Any] = {
        "format": format_name,
        "file": source.path.name,
        "row": source.number,
        "sha256": source.sha256,
        **log.origin,
    }
    log = dataclasses.replace(log, tags=tuple(dict.fromkeys([TAG, *log.tags, *tags])))
    out = store.create(run_id)
    try:
        out.copy(events_of(log, run_id, mark))
    except BaseException:
        out.discard()
        raise
    out.close()
    return run_id
