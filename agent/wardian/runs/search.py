"""Full-text search over all runs: an SQLite file with their texts and facts, that can be lost.

As with the index of the list, the logs are the truth: whoever searches brings it up to date first,
run by run, and where none can be kept the runs are read themselves. A removed run leaves nothing in
it. Its texts are those of the logs, in a file readable by its owner only.
Does not cover: ranking where the index cannot be kept; the newest run is first then.
"""

import json
import sqlite3
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from wardian.runs import texts as searched
from wardian.runs.facts import KINDS, RunFacts, facts_of
from wardian.runs.filters import Filters
from wardian.runs.lines import Line, lines_of
from wardian.runs.log import LOG_NAME, PSEUDONYMS_NAME
from wardian.runs.sqlite_file import SqliteFile, Stamp, Unusable, stamps, storable, writing
from wardian.runs.store import SEARCH_NAME
from wardian.runs.summary import summarised
from wardian.runs.texts import Text, texts_of
from wardian.runs.words import Words

VERSION = 2
TABLES = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY, run_id TEXT UNIQUE, size INTEGER, modified_ns INTEGER, facts TEXT,
    apart INTEGER
);
CREATE TABLE places (id INTEGER PRIMARY KEY, step INTEGER, place TEXT, text TEXT);
CREATE VIRTUAL TABLE words USING fts5(
    text, content='places', content_rowid='id', tokenize='unicode61 remove_diacritics 2'
)
"""
PLACE_BITS = 20
"""The id of a text is its run's number, then its own in so many bits: words lead to runs."""
RANKED = 2_000
"""Of a word that stands in more texts than that, the best among the newest are found."""
BATCH = 200
"""Runs read and written at a time: what is done stays done when the rest is interrupted."""

T = TypeVar("T")
Report = Callable[[int, int], object]
"""Told how many runs of how many have been read"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A text that has the words, as recorded: not yet safe to show."""

    run_id: str
    step: int
    where: str
    text: str


class SearchIndex:
    """The texts and facts of one folder of runs."""

    def __init__(self, root: Path, report: Report = lambda done, of: None) -> None:
        self.root = root
        self.path = root / SEARCH_NAME
        self._report = report
        self._file = SqliteFile(
            path=self.path,
            version=VERSION,
            tables=TABLES,
            names=("words", "places", "runs"),
            probe="SELECT facts, (SELECT max(id) FROM places), (SELECT max(rowid) FROM words)"
            " FROM runs LIMIT 1",
        )

    def facts(self, words: Words | None = None) -> list[RunFacts]:
        """Of every run that has begun and of which one text has all the words, newest first."""
        try:
            return self._file.use(lambda database: self._known_facts(database, words))
        except Unusable:
            read = (self._read(run_id) for run_id in self._newest_first())
            return [
                facts
                for facts, places in read
                if facts and (words is None or any(words.place(one.text) for one in places))
            ]

    def hits(
        self,
        words: Words,
        of: Callable[[str], bool],
        take: Callable[[Hit], T | None],
        limit: int,
    ) -> list[T]:
        """What `take` makes of texts of these runs that have all the words, the best first.

        Left out are the runs of `apart`.
        """
        try:
            return self._file.use(lambda database: self._ranked(database, words, of, take, limit))
        except Unusable:
            apart = set(self.apart())
            hits = (hit for hit in self._scanned(words) if of(hit.run_id))
            found = (take(hit) for hit in hits if hit.run_id not in apart)
            return list(islice((one for one in found if one is not None), limit))

    def apart(self) -> list[str]:
        """The runs whose log does not hold what its reader sees, newest first."""
        query = "SELECT run_id FROM runs WHERE apart ORDER BY run_id DESC"
        try:
            return self._file.use(lambda database: [one for (one,) in database.execute(query)])
        except Unusable:
            return [one for one in self._newest_first() if self._is_apart(one)]

    def forget(self) -> None:
        """Remove the index; the next search makes it anew."""
        self._file.forget()

    def lines(self, run_id: str) -> list[Line]:
        """What of a run is looked for; nothing of one that cannot be read."""
        found: list[Line] = []
        with suppress(OSError):
            found += lines_of(self.root / run_id, KINDS | searched.KINDS)
        return found

    def drop(self, run_ids: Iterable[str]) -> None:
        """Leave nothing of runs that were removed."""
        if not self.path.exists():
            return
        try:
            self._file.use(lambda database: _drop(database, list(run_ids)))
        except Unusable:
            self.forget()

    def _known_facts(self, database: sqlite3.Connection, words: Words | None) -> list[RunFacts]:
        self._bring_up_to_date(database)
        holding = "number IN (SELECT rowid >> ? FROM words WHERE words MATCH ?) AND"
        rows = database.execute(
            f"SELECT facts FROM runs WHERE {holding if words else ''} facts IS NOT NULL"  # noqa: S608 - constants
            " ORDER BY run_id DESC",
            (PLACE_BITS, words.match) if words else (),
        )
        return [RunFacts(*json.loads(row)) for (row,) in rows]

    def _ranked(
        self,
        database: sqlite3.Connection,
        words: Words,
        of: Callable[[str], bool],
        take: Callable[[Hit], T | None],
        limit: int,
    ) -> list[T]:
        self._bring_up_to_date(database)
        numbers = {
            number: run_id
            for number, run_id in database.execute(
                "SELECT number, run_id FROM runs WHERE NOT apart"
            )
            if of(run_id)
        }
        oldest = self._oldest_ranked(database, words, numbers)
        best = database.execute(
            "SELECT rowid FROM words WHERE words MATCH ? AND rowid >= ? ORDER BY rank",
            (words.match, oldest),
        )
        found: list[T] = []
        for (place,) in best:
            if run_id := numbers.get(place >> PLACE_BITS):
                query = "SELECT step, place, text FROM places WHERE id = ?"
                step, where, text = database.execute(query, (place,)).fetchone()
                hit = Hit(run_id=run_id, step=step, where=where, text=text)
                if (one := take(hit)) is not None:
                    found.append(one)
            if len(found) == limit:
                break
        return found

    def _oldest_ranked(
        self, database: sqlite3.Connection, words: Words, numbers: Container[int]
    ) -> int:
        """The id of the last text to be ranked, counted from the newest."""
        newest = database.execute(
            "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC", (words.match,)
        )
        wanted = (place for (place,) in newest if place >> PLACE_BITS in numbers)
        return next(islice(wanted, RANKED - 1, None), 0)

    def _bring_up_to_date(self, database: sqlite3.Connection) -> None:
        """Raises: sqlite3.Error."""
        now = stamps(self.root)
        found = database.execute("SELECT run_id, size, modified_ns FROM runs")
        known = {run_id: (size, modified) for run_id, size, modified in found}
        if gone := list(known.keys() - now.keys()):
            _drop(database, gone)
        changed = sorted(run_id for run_id, stamp in now.items() if known.get(run_id) != stamp)
        for begin in range(0, len(changed), BATCH):
            batch = changed[begin : begin + BATCH]
            read = {run_id: self._read(run_id) for run_id in batch}
            with writing(database):
                for run_id, (facts, places) in read.items():
                    _drop_run(database, run_id)
                    apart = self._is_apart(run_id)
                    _put(database, run_id, now[run_id], facts, places, apart=apart)
            self._report(begin + len(batch), len(changed))

    def _read(self, run_id: str) -> tuple[RunFacts | None, list[Text]]:
        """None for a run that has not begun, or is gone by now."""
        if summarised(self.root / run_id / LOG_NAME) is None:
            return None, []
        lines = self.lines(run_id)
        return facts_of(run_id, lines), [text for line in lines for text in texts_of(line)]

    def _scanned(self, words: Words) -> Iterator[Hit]:
        for run_id in self._newest_first():
            for step, where, text in self._read(run_id)[1]:
                if words.place(text):
                    yield Hit(run_id=run_id, step=step, where=where, text=text)

    def _is_apart(self, run_id: str) -> bool:
        return (self.root / run_id / PSEUDONYMS_NAME).exists()

    def _newest_first(self) -> list[str]:
        return sorted(stamps(self.root), reverse=True)


def find_runs(
    root: Path, filters: Filters, report: Report = lambda done, of: None
) -> list[RunFacts]:
    """The runs that pass the filters, newest first; `text` as it stands in the logs."""
    index = SearchIndex(root, report)
    words = Words.of(filters.text)
    found = [one for one in index.facts(words) if filters.take(one)]
    if not filters.text or words:
        return found
    return [one for one in found if searched.holds(index.lines(one.run_id), filters.text)]


def _put(
    database: sqlite3.Connection,
    run_id: str,
    stamp: Stamp,
    facts: RunFacts | None,
    places: list[Text],
    *,
    apart: bool,
) -> None:
    row = None if facts is None else json.dumps(facts)
    values = (run_id, *stamp, row, apart)
    number = database.execute("INSERT INTO runs VALUES (NULL, ?, ?, ?, ?, ?)", values).lastrowid
    assert number is not None
    first = number << PLACE_BITS
    rows = [
        (first + index, step, storable(where), storable(text))
        for index, (step, where, text) in enumerate(places[: 1 << PLACE_BITS])
    ]
    database.executemany("INSERT INTO places VALUES (?, ?, ?, ?)", rows)
    words = [(place, text) for place, _, _, text in rows]
    database.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", words)


def _drop(database: sqlite3.Connection, run_ids: list[str]) -> None:
    with writing(database):
        for run_id in run_ids:
            _drop_run(database, run_id)
        # The words of what is deleted stay in FTS5's segments until they are merged.
        database.execute("INSERT INTO words (words) VALUES ('optimize')")


def _drop_run(database: sqlite3.Connection, run_id: str) -> None:
    found = database.execute("SELECT number FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if found is None:
        return
    ids = (found[0] << PLACE_BITS, (found[0] + 1) << PLACE_BITS)
    database.execute(
        "INSERT INTO words (words, rowid, text)"
        " SELECT 'delete', id, text FROM places WHERE id >= ? AND id < ?",
        ids,
    )
    database.execute("DELETE FROM places WHERE id >= ? AND id < ?", ids)
    database.execute("DELETE FROM runs WHERE number = ?", found)
