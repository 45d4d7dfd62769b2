"""Tasks as files that `loading` reads: a folder each, with its workspace and hidden files in it."""

import re
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from wardian.errors import ConfigurationError, StorageError
from wardian.evals.contents import make_workspace
from wardian.evals.loading import SUITE_FILE, TASK_FILE
from wardian.evals.suites.catalogue import GENERATORS
from wardian.evals.tasks import Split, Task, fault_of_path, row_of

WORKSPACE, HIDDEN = "workspace", "hidden"
GENERATED_NAME = re.compile(rf"({'|'.join(GENERATORS)})-({'|'.join(Split)})-[0-9]+")
"""Of fresh tasks of one split, made with one seed"""


def write_suite(tasks: Iterable[Task], folder: Path, *, name: str, version: str) -> list[Path]:
    """Write each task into a folder of its id below `folder`; gives those folders.

    A suite that is there keeps its name, but for one of a single split and seed, which gives way to
    the folder's as soon as there are others.
    Raises: ConfigurationError where one is there already; StorageError.
    """
    import tomlkit

    made = [write_task(task, folder / task.id) for task in tasks]
    about = folder / SUITE_FILE
    if not about.exists():
        _written(about, tomlkit.dumps({"name": name, "version": version}))
    elif _name_in(about) != name and GENERATED_NAME.fullmatch(_name_in(about)):
        own = folder.resolve().name
        found = {"name": f"{own}-own" if own in GENERATORS else own, "version": version}
        _written(about, tomlkit.dumps(found))
    return made


def _name_in(about: Path) -> str:
    """Raises: ConfigurationError."""
    try:
        return str(tomllib.loads(about.read_text(encoding="utf-8")).get("name", ""))
    except (OSError, ValueError) as problem:
        raise ConfigurationError(f"{about} cannot be read: {problem}.", "Mend it.") from problem


def write_task(task: Task, folder: Path) -> Path:
    """Raises: ConfigurationError where the folder is there already; StorageError."""
    import tomlkit

    if fault := fault_of_path(task.id):
        raise ConfigurationError(
            f"The id {task.id!r:.200} is no place below a folder: it {fault}.",
            "Give one like files/rename-3.",
        )
    if folder.exists():
        raise ConfigurationError(
            f"{folder} is there already.", "Give another folder, or remove that one."
        )
    row = row_of(replace(task, files={}, workspace=None, hidden={}))
    try:
        folder.mkdir(parents=True)
        if task.workspace or task.files:
            (folder / WORKSPACE).mkdir()
            make_workspace(folder / WORKSPACE, task.workspace, task.files)
        if task.hidden:
            (folder / HIDDEN).mkdir()
            make_workspace(folder / HIDDEN, None, task.hidden)
    except (OSError, shutil.Error) as problem:
        raise StorageError(f"{folder} cannot be written: {problem}.", "Free some space.") from None
    if len(row.get("verifier", ())) == 1:
        (row["verifier"],) = row["verifier"]
    _written(folder / TASK_FILE, tomlkit.dumps(_without_none(row)))
    return folder


def _written(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise StorageError(
            f"{path} cannot be written: {problem.strerror}.", "Choose another folder."
        ) from problem


def _without_none(value: Any) -> Any:
    """TOML has no word for nothing; a key that is not there says the same."""
    if isinstance(value, Mapping):
        table = cast("Mapping[str, Any]", value)
        return {key: _without_none(one) for key, one in table.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_without_none(one) for one in cast("list[Any]", value)]
    return value
