"""Built tools of one user: each version's code, pinned by its hash when the person approved it.

    tools/index.json                 what was approved: names, versions, hashes
    tools/NAME/3/tool.py             a version's code and its tests
    tools/.drafts/NAME/tool.py       built, and not approved yet

Code whose hash is not the approved one is never run. Does not cover: somebody who can write the
index itself, which takes the user's own rights.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from wardian.building.checking import Draft
from wardian.building.describe import Description, NotATool
from wardian.errors import ConfigurationError, StorageError
from wardian.settings import make_folder
from wardian.settings.replacing import replace_file

INDEX = "index.json"
DRAFTS = ".drafts"
"""No tool can be called that."""
SOURCE, TESTS = "tool.py", "test_tool.py"
MAX_FILE_BYTES = 256 << 10


class ToolChanged(ConfigurationError):
    """A built tool's file is not what was approved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One approved version of a tool."""

    number: int
    sha256: str
    """Of the code and its tests"""
    approved: str
    """UTC, ISO 8601"""
    task: str
    """What was asked for"""
    run_id: str = ""
    """The run that wrote it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A tool with all its versions."""

    name: str
    current: int
    versions: tuple[Version, ...]

    @property
    def version(self) -> Version:
        return next(one for one in self.versions if one.number == self.current)


def digest(draft: Draft) -> str:
    """Of both files, so that neither can be changed alone or moved into the other."""
    parts = (hashlib.sha256(part).digest() for part in (draft.source, draft.tests))
    return hashlib.sha256(b"".join(parts)).hexdigest()


class BuiltTools:
    """The tools in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def all(self) -> list[Built]:
        """Sorted by name. Raises: ConfigurationError."""
        return sorted(self._index().values(), key=lambda one: one.name)

    def get(self, name: str) -> Built:
        """Raises: ConfigurationError."""
        index = self._index()
        if name not in index:
            there = f"There are: {', '.join(sorted(index))}." if index else "There are none yet."
            raise ConfigurationError(f"There is no built tool {name!r}.", there)
        return index[name]

    def read(self, name: str, number: int | None = None) -> tuple[Draft, Description]:
        """A version's files, as they were approved; the current one if none is named.

        Raises: ToolChanged, ConfigurationError.
        """
        built = self.get(name)
        number = built.current if number is None else number
        found = next((one for one in built.versions if one.number == number), None)
        if found is None:
            there = ", ".join(str(one.number) for one in built.versions)
            raise ConfigurationError(f"{name} has no version {number}.", f"It has: {there}.")
        folder = self.root / name / str(number)
        draft = read_draft(folder)
        if draft is None or digest(draft) != found.sha256:
            raise ToolChanged(
                f"The files of {name} in {folder} are not what you approved.",
                f"It is not run. Look at them, then `agent tool remove {name}` and build it again.",
            )
        try:
            return draft, draft.described()
        except NotATool as error:
            raise ConfigurationError(
                f"{name} cannot be read: {error}", "Build it again."
            ) from error

    def keep(self, name: str, draft: Draft, *, task: str, run_id: str = "") -> Built:
        """The draft as the newest version. Raises: ConfigurationError, StorageError."""
        index = self._index()
        before = index.get(name)
        number = 1 + max((one.number for one in before.versions), default=0) if before else 1
        write_draft(self.root / name / str(number), draft)
        version = Version(
            number=number,
            sha256=digest(draft),
            approved=datetime.now(UTC).isoformat(timespec="seconds"),
            task=task[:1000],
            run_id=run_id,
        )
        versions = (*(before.versions if before else ()), version)
        built = Built(name=name, current=number, versions=versions)
        self._save({**index, name: built})
        shutil.rmtree(self._draft_folder(name), ignore_errors=True)
        return built

    def roll_back(self, name: str, number: int | None = None) -> Built:
        """An earlier version becomes the current one. Raises: ConfigurationError."""
        built = self.get(name)
        earlier = [one.number for one in built.versions if one.number < built.current]
        if number is None and not earlier:
            raise ConfigurationError(f"{name} has no earlier version.", "Nothing was changed.")
        wanted = max(earlier) if number is None else number
        self.read(name, wanted)
        rolled = replace(built, current=wanted)
        self._save({**self._index(), name: rolled})
        return rolled

    def remove(self, name: str) -> None:
        """The tool with its draft, or a draft alone. Raises: ConfigurationError, StorageError."""
        if name in self.drafts():
            shutil.rmtree(self._draft_folder(name), ignore_errors=True)
            if name not in self._index():
                return
        self.get(name)
        self._save({one.name: one for one in self.all() if one.name != name})
        shutil.rmtree(self.root / name, ignore_errors=True)

    def keep_draft(self, name: str, draft: Draft, task: str) -> None:
        """Until it is approved. Raises: StorageError."""
        folder = self._draft_folder(name)
        shutil.rmtree(folder, ignore_errors=True)
        write_draft(folder, draft)
        replace_file(folder / "task.txt", task)

    def drafts(self) -> list[str]:
        """The names of those that wait to be approved."""
        folder = self.root / DRAFTS
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(one.name for one in found if one.name.isidentifier() and one.is_dir())

    def draft(self, name: str) -> tuple[Draft, str]:
        """A draft and its task. Raises: ConfigurationError."""
        folder = self._draft_folder(name)
        draft = read_draft(folder) if name.isidentifier() else None
        if draft is None:
            raise ConfigurationError(
                f"There is no draft of a tool {name!r}.", "`agent tool build` makes one."
            )
        task = folder / "task.txt"
        return draft, task.read_text("utf-8") if task.is_file() else ""

    def _draft_folder(self, name: str) -> Path:
        return self.root / DRAFTS / name

    def _index(self) -> dict[str, Built]:
        """Raises: ConfigurationError."""
        file = self.root / INDEX
        try:
            if not file.exists():
                return {}
            loaded = json.loads(file.read_bytes())
            return {one.name: one for one in read_index(loaded)}
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise ConfigurationError(
                f"{file} cannot be read ({error}).", "Remove it; then build your tools again."
            ) from error

    def _save(self, tools: dict[str, Built]) -> None:
        make_folder(self.root)
        facts = {one.name: asdict(one) for one in tools.values()}
        text = json.dumps({"version": 1, "tools": facts}, indent=1, sort_keys=True)
        replace_file(self.root / INDEX, text + "\n")


def read_index(loaded: Any) -> Iterator[Built]:
    """Raises: ValueError, TypeError, KeyError."""
    for name, facts in cast("dict[str, dict[str, Any]]", loaded["tools"]).items():
        if not name.isidentifier():
            raise ValueError(f"{name!r} is no tool's name")
        versions = tuple(Version(**one) for one in facts["versions"])
        built = Built(name=name, current=int(facts["current"]), versions=versions)
        if built.current not in {one.number for one in versions}:
            raise ValueError(f"{name} has no version {built.current}")
        yield built


def read_draft(folder: Path) -> Draft | None:
    """Both files, read once; None where one is missing or too large."""
    found: list[bytes] = []
    for name in (SOURCE, TESTS):
        try:
            with (folder / name).open("rb") as file:
                found.append(file.read(MAX_FILE_BYTES + 1))
        except OSError:
            return None
    return None if max(map(len, found)) > MAX_FILE_BYTES else Draft(source=found[0], tests=found[1])


def write_draft(folder: Path, draft: Draft) -> None:
    """Raises: StorageError."""
    make_folder(folder)
    try:
        for name, content in ((SOURCE, draft.source), (TESTS, draft.tests)):
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror or error}.", "Free some space."
        ) from error
