"""The list of many runs without reading each: an SQLite file beside them that can be lost.

The logs are the truth. Whoever lists runs brings the index up to date first: a run is read again
if its log has another size or time. Where no index can be kept, the runs are read themselves.
Covers: several processes at once. Only who lists writes, so that a run never waits for it.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from wardian.runs.log import LOG_NAME
from wardian.runs.sqlite_file import SqliteFile, Stamp, Unusable, stamps, storable, writing
from wardian.runs.summary import RunSummary, summarised

INDEX_NAME = ".index.sqlite3"
VERSION = 2
SCHEMA = """
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, size INTEGER, modified_ns INTEGER,
    started TEXT, prompt TEXT, model TEXT, stop TEXT, steps INTEGER, parent TEXT, fork TEXT
) WITHOUT ROWID
"""
Row = tuple[str, str, str, str, str, int | None, str, str]


class RunIndex:
    """The index of one folder of runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / INDEX_NAME
        self._file = SqliteFile(
            path=self.path,
            version=VERSION,
            tables=SCHEMA,
            names=("runs",),
            probe="SELECT steps, parent, fork FROM runs LIMIT 1",
        )

    def summaries(self) -> list[RunSummary]:
        """Every run that has begun, newest first."""
        return list(self.newest())

    def newest(self) -> Iterator[RunSummary]:
        """The same one by one, for who needs the first of many."""
        known = stamps(self.root)
        try:
            rows = self._file.use(lambda database: self._up_to_date(database, known))
        except Unusable:
            paths = (self.root / run_id / LOG_NAME for run_id in sorted(known, reverse=True))
            yield from (summary for path in paths if (summary := summarised(path)))
        else:
            yield from map(self._summary, rows)

    def forget(self) -> None:
        """Remove the index; the next one to list runs makes it anew."""
        self._file.forget()

    def _up_to_date(self, database: sqlite3.Connection, stamps: dict[str, Stamp]) -> list[Row]:
        """Raises: sqlite3.Error."""
        found = database.execute("SELECT run_id, size, modified_ns FROM runs")
        known = {run_id: (size, modified) for run_id, size, modified in found}
        changed = [run_id for run_id, stamp in stamps.items() if known.get(run_id) != stamp]
        gone = known.keys() - stamps.keys()
        if changed or gone:
            self._update(database, changed, gone, stamps)
        columns = "run_id, started, prompt, model, stop, steps, parent, fork"
        return database.execute(
            f"SELECT {columns} FROM runs WHERE stop IS NOT NULL ORDER BY run_id DESC"  # noqa: S608 - constants
        ).fetchall()

    def _update(
        self,
        database: sqlite3.Connection,
        changed: list[str],
        gone: set[str],
        stamps: dict[str, Stamp],
    ) -> None:
        rows = [
            (run_id, *stamps[run_id], *_columns(summarised(self.root / run_id / LOG_NAME)))
            for run_id in changed
        ]
        with writing(database):
            database.executemany(
                "DELETE FROM runs WHERE run_id = ?", [(run_id,) for run_id in gone]
            )
            database.executemany("REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _summary(self, row: Row) -> RunSummary:
        run_id, started, prompt, model, stop, steps, parent, fork = row
        return RunSummary(
            run_id=run_id,
            started=started,
            prompt=prompt,
            model=model,
            stop=stop,
            steps=steps,
            path=self.root / run_id / LOG_NAME,
            parent=parent,
            fork=fork,
        )


def _columns(summary: RunSummary | None) -> tuple[object, ...]:
    """None for a run that has not begun: it is known, and not shown."""
    if summary is None:
        return (None,) * 7
    texts = (summary.started, summary.prompt, summary.model, summary.stop)
    return (*map(storable, texts), summary.steps, storable(summary.parent), storable(summary.fork))
