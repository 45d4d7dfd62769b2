"""What of the stored runs can go: old runs, and what no record refers to any more.

Never: a run that a process holds, one of a newer version, one that was touched since it was looked
at; nor, unless that is asked for, one that its user marked (rated, tagged, labelled, undone,
forked, allowed or refused a call of). A run stays with those that go on from it, a sub-agent's with
its caller. Contents are only taken from runs whose every record can be read.
A run is renamed before it is deleted: what an interrupted sweep leaves is never taken for a run,
and the next one finishes it.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, cast

from wardian.errors import StorageError
from wardian.runs.encode import BadLine, is_newer, parse_line
from wardian.runs.facts import RunFacts
from wardian.runs.filters import Filters
from wardian.runs.holding import hold, is_held
from wardian.runs.log import BLOBS_NAME, LOG_NAME, REMOVING
from wardian.runs.search import Report, SearchIndex, find_runs
from wardian.runs.state import remove_tree
from wardian.runs.states import FILES_NAME, STATES_NAME, WORKSPACES_NAME
from wardian.runs.store import check_untouched, discard, forget_texts
from wardian.runs.summary import summarised

MARKS = tuple(
    f'"kind":"{kind}"'.encode()
    for kind in ("rated", "tagged", "labelled", "changes_undone", "forked", "compared")
)
ANSWERED = (b'"kind":"call_decided"', b'"answer":"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """A run, or something that nothing refers to."""

    path: Path
    size: int
    """Bytes of files that nothing else links to"""
    why: str
    modified_ns: int = 0
    """Of its log when it was looked at"""


@dataclass(slots=True, kw_only=True)
class Sweep:
    """What would go."""

    runs: list[Going] = field(default_factory=list[Going])
    leftovers: list[Going] = field(default_factory=list[Going])
    stay: Counter[str] = field(default_factory=Counter[str])
    """Runs that the policy names and that stay, by reason"""

    @property
    def size(self) -> int:
        return sum(one.size for one in (*self.runs, *self.leftovers))


def plan(
    root: Path,
    *,
    filters: Filters,
    older_than_ns: int | None = None,
    keep: int | None = None,
    marked: bool = False,
    report: Report = lambda done, of: None,
) -> Sweep:
    """What would go of the runs below `root`; nothing is changed.

    `older_than_ns`: a moment; a run whose log was written since stays. `keep`: so many of the
    newest stay. Without any of these and filters, no run goes that has begun.
    """
    sweep = Sweep()
    facts = SearchIndex(root, report).facts()
    is_policy = filters.are_any or older_than_ns is not None or keep is not None
    meant = {one.run_id for one in find_runs(root, filters, report)} if is_policy else set[str]()
    newest = {one.run_id for one in facts[: keep or 0]}
    going: dict[str, Going] = {}
    for one in facts:
        if one.run_id not in meant or one.run_id in newest:
            continue
        reason, modified_ns = _reason(root / one.run_id, older_than_ns, marked=marked)
        if reason:
            sweep.stay[reason] += 1
        else:
            folder = root / one.run_id
            why = f"{one.stop}, {one.started[:10]}"
            going[one.run_id] = Going(
                path=folder, size=_size(folder), why=why, modified_ns=modified_ns
            )
    for run_id in _bound(facts, going):
        del going[run_id]
        sweep.stay["another run that stays belongs to it"] += 1
    sweep.runs = list(going.values())
    staying = [one.run_id for one in facts if one.run_id not in going]
    sweep.leftovers = [*_dead(root, {one.run_id for one in facts}), *_unreferenced(root, staying)]
    return sweep


def apply(root: Path, sweep: Sweep, skipped: Callable[[str], object]) -> int:
    """Do it; gives the bytes that are free now. `skipped` is told what stays after all.

    Raises: StorageError when the folder cannot be written.
    """
    freed = 0
    removed: list[str] = []
    for one in sweep.runs:
        try:
            discard(root, one.path.name, unless_touched_since=one.modified_ns)
        except StorageError as error:
            skipped(str(error))
        else:
            removed.append(one.path.name)
            freed += one.size
    forget_texts(root, removed)
    for one in sweep.leftovers:
        try:
            _remove(root, one)
        except (StorageError, OSError) as error:
            skipped(f"{one.path}: {error}")
        else:
            freed += one.size
    return freed


def _remove(root: Path, one: Going) -> None:
    """Raises: StorageError, OSError."""
    first = one.path.relative_to(root).parts[0]
    if first == WORKSPACES_NAME:
        one.path.unlink(missing_ok=True)
    elif first.startswith(REMOVING):
        remove_tree(one.path)
    elif one.path == root / first:
        discard(root, first, unless_touched_since=one.modified_ns)
    else:
        with hold(root / first):
            check_untouched(root / first, one.modified_ns)
            if one.path.is_dir():
                remove_tree(one.path)
            else:
                one.path.unlink(missing_ok=True)


def _reason(folder: Path, older_than_ns: int | None, *, marked: bool) -> tuple[str, int]:
    """Why a run that is meant stays, or empty; and when its log was written last."""
    log = folder / LOG_NAME
    try:
        modified_ns = log.stat().st_mtime_ns
        if older_than_ns is not None and modified_ns >= older_than_ns:
            return "it is not that old", modified_ns
        if is_held(folder):
            return "it is going on", modified_ns
        content = log.read_bytes()
    except OSError:
        return "it cannot be read", 0
    if _is_newer(content):
        return "a newer version wrote it", modified_ns
    if not marked and (
        any(mark in content for mark in MARKS)
        or any(all(part in line for part in ANSWERED) for line in content.split(b"\n"))
    ):
        return "you marked it (--marked takes it too)", modified_ns
    return "", modified_ns


def _bound(facts: Sequence[RunFacts], going: Container[str]) -> set[str]:
    """Those that have to stay with one that stays."""
    # A fork goes on from its parent; a sub-agent's run explains its caller's.
    bonds = [(f.run_id, f.parent) if f.is_fork else (f.parent, f.run_id) for f in facts if f.parent]
    known = {one.run_id for one in facts}
    bound: set[str] = set()
    while more := {
        other
        for run_id, other in bonds
        if run_id in known
        and (run_id not in going or run_id in bound)
        and other in going
        and other not in bound
    }:
        bound |= more
    return bound


def _dead(root: Path, known: set[str]) -> Iterator[Going]:
    """Runs that never began, what is left of removed ones, and notes about runs that are gone."""
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.name.startswith(REMOVING):
            yield Going(path=folder, size=_size(folder), why="its removal was interrupted")
        elif not folder.name.startswith(".") and folder.is_dir() and folder.name not in known:
            log = folder / LOG_NAME
            with suppress(OSError):
                if log.exists() and summarised(log) is None and not is_held(folder):
                    yield Going(
                        path=folder,
                        size=_size(folder),
                        why="it never began",
                        modified_ns=log.stat().st_mtime_ns,
                    )
    for pointer in sorted((root / WORKSPACES_NAME).glob("*")):
        with suppress(OSError):
            if not (root / pointer.read_text(errors="replace") / LOG_NAME).exists():
                why = "the run that it names is gone"
                yield Going(path=pointer, size=pointer.stat().st_size, why=why)


def _unreferenced(root: Path, run_ids: Iterable[str]) -> Iterator[Going]:
    for run_id in run_ids:
        folder = root / run_id
        with suppress(OSError):
            kept = (BLOBS_NAME, FILES_NAME, STATES_NAME)
            own = [folder / name for name in kept if not (folder / name).is_symlink()]
            there = [one for place in own for one in place.glob("*")]
            there += folder.glob(".restoring-*")
            if not there or is_held(folder):
                continue
            modified_ns = (folder / LOG_NAME).stat().st_mtime_ns
            used = _used(folder)
            for path in there if used is not None else ():
                if used is not None and path.relative_to(folder).as_posix() not in used:
                    why = "nothing refers to it"
                    yield Going(path=path, size=_size(path), why=why, modified_ns=modified_ns)


def _used(folder: Path) -> set[str] | None:
    """What its records and states refer to, and the states; None where that cannot be told."""
    used: set[str] = set()
    last = -1
    for raw in (folder / LOG_NAME).read_bytes().split(b"\n"):
        if not raw:
            continue
        try:
            record = parse_line(raw)
        except BadLine:
            return None
        if not isinstance(record["data"], dict):
            return None
        data = cast("dict[str, object]", record["data"])
        if record["kind"] == "header" and is_newer(data):
            return None
        if record["kind"] == "workspace_saved":
            if not isinstance(state := data.get("state"), int):
                return None
            last = max(last, state)
        used |= {f"{BLOBS_NAME}/{digest}" for digest in _blobs(data)}
    try:
        # Each is the difference from the one before, and a fork's first has no record of its own.
        for number in count():
            name = f"{STATES_NAME}/{number:06}.json"
            if number > last and not (folder / name).exists():
                break
            put: dict[str, list[Any]] = json.loads((folder / name).read_bytes())["put"]
            used |= {name, *(f"{FILES_NAME}/{kept[-1]}" for kept in put.values())}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return used


def _blobs(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            mapping = cast("dict[str, object]", one)
            if isinstance(digest := mapping.get("$blob"), str):
                yield digest
            waiting += mapping.values()
        elif isinstance(one, list):
            waiting += cast("list[object]", one)


def _is_newer(content: bytes) -> bool:
    with suppress(BadLine):
        record = parse_line(content.partition(b"\n")[0])
        return record["kind"] == "header" and is_newer(record["data"])
    return False


def _size(path: Path) -> int:
    """What deleting it would free."""
    if not path.is_dir() or path.is_symlink():
        status = path.lstat()
        return status.st_size if status.st_nlink == 1 else 0
    total = 0
    for inside, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += _size(Path(inside, name))
    return total
