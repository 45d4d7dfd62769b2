"""The tasks of a suite: a folder, a TOML or JSONL file, or a built-in name."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from wardian.errors import ConfigurationError
from wardian.evals.environments import PREFIX, environment_suite
from wardian.evals.harbor import harbor_task, is_harbor
from wardian.evals.suites.catalogue import GENERATORS, built_in_suite
from wardian.evals.tasks import Suite, Task, task_of

TASK_FILE = "task.toml"
SUITE_FILE = "suite.toml"
"""Of a folder, optional: `name` and `version`"""
MAX_FILE_BYTES = 256 << 20
MAX_TASKS = 100_000


def load_suite(
    name_or_path: str | Path, split: str | None = None, family: str | None = None
) -> Suite:
    """A built-in suite by its name, or the one at a path; `./core` is a path whatever is built in.

    Raises: ConfigurationError.
    """
    path = Path(name_or_path).expanduser()
    if name_or_path not in GENERATORS and path.exists():
        suite = replace(_read(path), source=str(path.absolute()))
    else:
        suite = replace(_by_name(str(name_or_path), split), source=str(name_or_path))
    if not suite.tasks:
        raise ConfigurationError(
            f"The suite {suite.name} has no tasks.",
            f"A task is a folder with a {TASK_FILE}, a [[task]] of a TOML file, or a JSONL line.",
        )
    if len(suite.tasks) > MAX_TASKS:
        raise ConfigurationError(f"The suite {suite.name} is too large.", "Divide it.")
    _check_unique(suite)
    return suite if split is None and family is None else suite.only(split=split, family=family)


def built_in_names() -> list[str]:
    """What `load_suite` knows without a path."""
    return sorted(GENERATORS)


def _by_name(name: str, split: str | None) -> Suite:
    """Of a generated suite only one split is made, where only one is wanted."""
    if name.startswith(PREFIX):
        return environment_suite(name)
    if name in GENERATORS:
        return built_in_suite(name, split)
    raise ConfigurationError(
        f"There is no suite {name!r:.200}.",
        f"Give a folder or a file of tasks, or one of: {', '.join(built_in_names())}.",
    )


def _read(path: Path) -> Suite:
    if path.is_dir():
        return _folder(path)
    table = _toml(path) if path.suffix == ".toml" else {}
    if path.name == TASK_FILE and "task" not in table:
        return _folder(path.parent)
    if path.suffix not in (".toml", ".jsonl"):
        raise ConfigurationError(
            f"{path} is no suite.", "Give a folder, or a file that ends in .toml or .jsonl."
        )
    return Suite(
        name=str(table.get("name", path.stem)),
        version=str(table.get("version", "1")),
        tasks=tuple(_tasks_of_file(path)),
    )


def _folder(path: Path) -> Suite:
    path = path.resolve()
    about = _toml(path / SUITE_FILE) if (path / SUITE_FILE).is_file() else {}
    name = str(about.get("name", path.name))
    version = str(about.get("version", "1"))
    return Suite(name=name, version=version, tasks=tuple(_tasks_below(path, path)))


def _tasks_below(folder: Path, root: Path) -> Iterator[Task]:
    """Of a folder of task folders and files of tasks, in the order of their names."""
    if (folder / TASK_FILE).is_file():
        yield _task_of_folder(folder, root)
        return
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _tasks_below(entry, root)
        elif entry.suffix in (".toml", ".jsonl") and entry.name != SUITE_FILE:
            yield from _tasks_of_file(entry)


def _task_of_folder(folder: Path, root: Path) -> Task:
    default_id = folder.relative_to(root).as_posix() if folder != root else folder.name
    if is_harbor(folder):
        return harbor_task(folder, default_id)
    row = dict(_toml(folder / TASK_FILE))
    for name in ("workspace", "hidden"):
        if name not in row and (folder / name).is_dir():
            row[name] = name
    return task_of(row, folder=folder, source=str(folder), default_id=default_id)


def _tasks_of_file(path: Path) -> Iterator[Task]:
    rows = _rows_of_toml(path) if path.suffix == ".toml" else _rows_of_jsonl(path)
    for where, row in rows:
        if not isinstance(row, Mapping):
            raise ConfigurationError(f"{where} is no task.", "A task is a table of keys.")
        table = cast("Mapping[str, Any]", row)
        yield task_of(table, folder=path.parent, source=where)


def _rows_of_toml(path: Path) -> Iterator[tuple[str, object]]:
    rows: object = _toml(path).get("task", [])
    if not isinstance(rows, list):
        raise ConfigurationError(f"{path} has no [[task]] tables.", "Write [[task]], twice in [].")
    for number, row in enumerate(cast("list[object]", rows), start=1):
        yield f"{path}, task {number}", row


def _rows_of_jsonl(path: Path) -> Iterator[tuple[str, object]]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            try:
                yield f"{path}, line {number}", json.loads(line)
            except (ValueError, RecursionError) as problem:
                raise ConfigurationError(
                    f"{path}, line {number} is not JSON: {problem!s:.200}.",
                    "Write one JSON object a line.",
                ) from problem


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except (ValueError, RecursionError) as problem:
        raise ConfigurationError(f"{path} is not TOML: {problem!s:.200}.", "Mend it.") from problem


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigurationError(f"{path} is larger than 256 MiB.", "Divide it.")
        return path.read_text(encoding="utf-8")
    except OSError as problem:
        raise ConfigurationError(
            f"{path} cannot be read: {problem.strerror}.", "See that it is there and readable."
        ) from problem
    except UnicodeDecodeError as problem:
        raise ConfigurationError(f"{path} is not UTF-8.", "Convert it.") from problem


def _check_unique(suite: Suite) -> None:
    seen: dict[str, str] = {}
    for task in suite.tasks:
        if task.id in seen:
            raise ConfigurationError(
                f"Two tasks have the id {task.id!r}: in {seen[task.id]} and in {task.source}.",
                "Give each an id of its own.",
            )
        seen[task.id] = task.source
