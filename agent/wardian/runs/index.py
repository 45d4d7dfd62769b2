"""The list of many runs without reading each: an SQLite file beside them that can be lost.

The logs are the truth. Whoever lists runs brings the index up to date first: a run is read again
if its log has another size or time. A file that is damaged, of another version, or not SQLite at
all is made anew; where none can be written, the runs are read themselves.
Covers: several processes at once. Only who lists writes, so that a run never waits for it.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from wardian.runs.log import LOG_NAME
from wardian.runs.summary import RunSummary, summarised

INDEX_NAME = ".index.sqlite3"
VERSION = 1
WAIT_SECONDS = 10.0
SCHEMA = """
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, size INTEGER, modified_ns INTEGER,
    started TEXT, prompt TEXT, model TEXT, stop TEXT, steps INTEGER, parent TEXT
) WITHOUT ROWID
"""
Stamp = tuple[int, int]
"""Size and modification time of a log"""


class RunIndex:
    """The index of one folder of runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / INDEX_NAME

    def summaries(self) -> list[RunSummary]:
        """Every run that has begun, newest first."""
        stamps = self._stamps()
        for _ in range(2):
            try:
                return self._up_to_date(stamps)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError) and not self._is_damaged():
                    break  # read-only, full, or held for too long
                self.forget()
            except OSError:
                break
        paths = (self.root / run_id / LOG_NAME for run_id in sorted(stamps, reverse=True))
        return [summary for path in paths if (summary := summarised(path))]

    def forget(self) -> None:
        """Remove the index; the next one to list runs makes it anew."""
        for suffix in ("", "-journal"):
            with suppress(OSError):
                Path(f"{self.path}{suffix}").unlink()

    def _stamps(self) -> dict[str, Stamp]:
        return dict(_stamps(self.root))

    def _up_to_date(self, stamps: dict[str, Stamp]) -> list[RunSummary]:
        """Raises: sqlite3.Error, OSError."""
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(self.path, WAIT_SECONDS, isolation_level=None)) as database:
            # It can be made anew, so nothing waits for the disk.
            database.execute("PRAGMA synchronous = OFF")
            self._check_version(database)
            known = {
                run_id: (size, modified)
                for run_id, size, modified in database.execute(
                    "SELECT run_id, size, modified_ns FROM runs"
                )
            }
            changed = [run_id for run_id, stamp in stamps.items() if known.get(run_id) != stamp]
            gone = known.keys() - stamps.keys()
            if changed or gone:
                self._update(database, changed, gone, stamps)
            columns = "run_id, started, prompt, model, stop, steps, parent"
            rows = database.execute(
                f"SELECT {columns} FROM runs WHERE stop IS NOT NULL ORDER BY run_id DESC"  # noqa: S608 - constants
            )
            return [self._summary(row) for row in rows]

    def _check_version(self, database: sqlite3.Connection) -> None:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == VERSION:
            return
        database.execute("BEGIN IMMEDIATE")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != VERSION:  # and nobody else has done it meanwhile
            database.execute("DROP TABLE IF EXISTS runs")
            database.execute(SCHEMA)
            database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("COMMIT")

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
        database.execute("BEGIN IMMEDIATE")
        database.executemany("DELETE FROM runs WHERE run_id = ?", [(run_id,) for run_id in gone])
        database.executemany("REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        database.execute("COMMIT")

    def _summary(self, row: tuple[str, str, str, str, str, int | None, str]) -> RunSummary:
        run_id, started, prompt, model, stop, steps, parent = row
        return RunSummary(
            run_id=run_id,
            started=started,
            prompt=prompt,
            model=model,
            stop=stop,
            steps=steps,
            path=self.root / run_id / LOG_NAME,
            parent=parent,
        )

    def _is_damaged(self) -> bool:
        """An operational error has its cause in the file's contents, not in its surroundings."""
        try:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
                (found,) = database.execute("PRAGMA quick_check").fetchone()
                database.execute("SELECT steps, parent FROM runs LIMIT 1").fetchone()
        except sqlite3.Error:
            return os.access(self.root, os.W_OK)
        return str(found) != "ok"


def _columns(summary: RunSummary | None) -> tuple[object, ...]:
    """None for a run that has not begun: it is known, and not shown."""
    if summary is None:
        return (None,) * 6
    texts = (summary.started, summary.prompt, summary.model, summary.stop)
    # SQLite has no lone surrogates.
    plain = (text.encode("utf-8", "replace").decode() for text in texts)
    return (*plain, summary.steps, summary.parent)


def _stamps(root: Path) -> Iterator[tuple[str, Stamp]]:
    with suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                with suppress(OSError):
                    status = os.stat(f"{entry.path}/{LOG_NAME}")  # noqa: PTH116 - half the time
                    yield entry.name, (status.st_size, status.st_mtime_ns)
