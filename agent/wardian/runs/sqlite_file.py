"""An SQLite file that is made of the runs beside it, and made anew when it is lost or damaged.

Covers: several processes at once, damage, another version's file, a folder that cannot be written.
No write-ahead log: SQLite before 3.51.3 has an error in it with several writers.
"""

import os
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from wardian.runs.log import LOG_NAME

WAIT_SECONDS = 10.0
T = TypeVar("T")
Stamp = tuple[int, int]
"""Size and modification time of a log"""


class Unusable(Exception):
    """It cannot be kept here: read-only, full, or held for too long. The runs can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteFile:
    path: Path
    version: int
    tables: str
    """Statements that make them"""
    names: tuple[str, ...]
    """Of the tables, to be dropped where they are another version's"""
    probe: str
    """A query that fails where the tables are not those"""

    def use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` gives; done once more with a new file where this one is damaged.

        Raises: Unusable.
        """
        for attempt in range(2):
            try:
                with self._opened() as database:
                    return work(database)
            except sqlite3.DatabaseError as error:
                if attempt or (isinstance(error, sqlite3.OperationalError) and not self._damaged()):
                    raise Unusable(str(error)) from error
                self.forget()
            except OSError as error:
                raise Unusable(str(error)) from error
        raise AssertionError

    def forget(self) -> None:
        """Remove it; whoever needs it next makes it anew."""
        for suffix in ("", "-journal"):
            with suppress(OSError):
                Path(f"{self.path}{suffix}").unlink()

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        """Raises: sqlite3.Error, OSError."""
        if not self.path.exists():
            flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
            os.close(os.open(self.path, flags, 0o600))
        with closing(sqlite3.connect(self.path, WAIT_SECONDS, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA secure_delete = ON")  # removed runs leave no text behind
            self._check_version(database)
            yield database

    def _check_version(self, database: sqlite3.Connection) -> None:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == self.version:
            return
        with writing(database):
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != self.version:  # and nobody else has done it meanwhile
                for name in self.names:
                    database.execute(f"DROP TABLE IF EXISTS {name}")
                for statement in self.tables.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {self.version}")

    def _damaged(self) -> bool:
        """An operational error has its cause in the file's contents, not in its surroundings."""
        try:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
                (found,) = database.execute("PRAGMA quick_check").fetchone()
                database.execute(self.probe).fetchone()
        except sqlite3.Error:
            return os.access(self.path.parent, os.W_OK)
        return str(found) != "ok"


@contextmanager
def writing(database: sqlite3.Connection) -> Generator[None]:
    """All of what is written in it, or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def storable(text: str) -> str:
    """SQLite has no lone surrogates, and its functions end a text at NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{SYMBOL FOR NULL}")


def stamps(root: Path) -> dict[str, Stamp]:
    """Of every log there is, by run."""
    return dict(_stamps(root))


def _stamps(root: Path) -> Iterator[tuple[str, Stamp]]:
    with suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                with suppress(OSError):
                    status = os.stat(f"{entry.path}/{LOG_NAME}")  # noqa: PTH116 - half the time
                    yield entry.name, (status.st_size, status.st_mtime_ns)
