"""A task with a check, as data: what is asked, what is there to begin with, and how it is graded.

One notation in three places: a folder (`task.toml`, `workspace/`, `hidden/`), a TOML file with
`[[task]]` tables, a JSONL file with one task a line. `loading` reads them.

    id = "files/rename-003"
    prompt = "Rename every .txt file here to .md."
    tools = ["shell"]
    limits = { max_steps = 20, max_seconds = 60 }
    files = { "a.txt" = "one\n" }
    protected = ["README.md"]
    verifier = { kind = "files", files = [{ path = "a.md", text = "one" }] }

Covers: a task is only ever data; its paths lead nowhere but into the workspace; what is hidden is
no part of what the solver is started with.
Does not cover: a check that is wrong. `agent tasks check` tries it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from wardian.errors import ConfigurationError
from wardian.evals.contents import digest_of_folder, texts_of_folder
from wardian.evals.rows import checked
from wardian.settings.load import BUDGET_KEYS, UNLIMITED_BUDGETS
from wardian_policies.types import Budgets

MAX_ID_CHARS = 200


class Split(StrEnum):
    """What a task may be used for."""

    TRAIN = "train"
    """To train on"""
    DEV = "dev"
    """To choose by: early stopping, settings"""
    TEST = "test"
    """To report; never trained on"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task. `wardian.types.Task` is what a run is asked; this also says how it is graded."""

    id: str
    """Unique in its suite, such as `files/rename-003`"""
    family: str
    prompt: str
    split: Split = Split.TEST
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path → text of the start workspace; laid over `workspace` where both are given"""
    workspace: Path | None = None
    """A folder that is copied as the start workspace"""
    image: str = ""
    """For sandboxes that take one; empty is the usual one"""
    tools: tuple[str, ...] | None = None
    """Names of the tools the agent has; None is the usual set"""
    limits: Budgets = UNLIMITED_BUDGETS
    """Each that is not None stands in place of the policy's"""
    system: str = ""
    """Added to the system prompt"""
    verifier: tuple[Mapping[str, Any], ...] = ()
    """Tables as `wardian.rewards.specification` reads them; several must all be content"""
    hidden: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path → text, put into the grader's copy of the workspace only"""
    protected: tuple[str, ...] = ()
    """Paths or globs (`tests/**`) of the start workspace that a run may not change: one that does
    has tampered, and earns 0"""
    tags: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Anything, as JSON; a generator's seed and parameters"""
    source: str = ""
    """Where it was read, or the run or generator that it comes from"""

    @property
    def digest(self) -> str:
        """Of what could change an outcome: equal for equal tasks, wherever they lie."""
        row = row_of(self)
        for key in ("tags", "meta", "source", "workspace"):
            row.pop(key, None)
        row["workspace"] = digest_of_folder(self.workspace) if self.workspace else ""
        return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Tasks that are evaluated together."""

    name: str
    version: str
    """The author's; `digest` says whether two are the same"""
    tasks: tuple[Task, ...]
    source: str = ""
    """What it was loaded by: a built-in name or a path"""

    @property
    def digest(self) -> str:
        parts = sorted(f"{task.id} {task.digest}" for task in self.tasks)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def families(self) -> tuple[str, ...]:
        return tuple(sorted({task.family for task in self.tasks}))

    def only(self, *, split: str | None = None, family: str | None = None) -> "Suite":
        """Those of one split, of one family. Raises: ConfigurationError when there is none."""
        kept = [
            task
            for task in self.tasks
            if (split is None or task.split == split) and (family is None or task.family == family)
        ]
        if not kept:
            wanted = " and ".join(
                f"the {kind} {value!r}"
                for kind, value in (("split", split), ("family", family))
                if value is not None
            )
            there = ", ".join(sorted({f"{task.split}/{task.family}" for task in self.tasks}))
            raise ConfigurationError(
                f"No task of the suite {self.name} is of {wanted or 'any kind'}.",
                f"It has: {there}." if there else "Add tasks to it.",
            )
        return replace(self, tasks=tuple(kept))


def task_of(row: Mapping[str, Any], *, folder: Path, source: str, default_id: str = "") -> Task:
    """The task that a table describes; `folder` is where its own folders are.

    Raises: ConfigurationError naming the task and the key.
    """
    where = f"The task {row.get('id', default_id) or '(without an id)'!s:.200} in {source}"
    given = {"id": default_id, **row} if default_id else dict(row)
    values = checked(given, where)
    workspace = _folder_of(values.pop("workspace", None), folder, where)
    hidden = values.pop("hidden", {})
    if isinstance(hidden, str):
        hidden_folder = _folder_of(hidden, folder, where)
        hidden = texts_of_folder(hidden_folder) if hidden_folder else {}
    for kind, paths in (("files", values.get("files", {})), ("hidden", hidden)):
        for path in paths:
            if fault := fault_of_path(path):
                raise ConfigurationError(
                    f"{where}: its {kind} have the path {path!r:.200}, which {fault}.",
                    "Write paths relative to the workspace, with forward slashes.",
                )
    _check_id(values["id"], where)
    checks: dict[str, Any] | list[dict[str, Any]] = values.pop("verifier", [])
    family = values.pop("family", "") or values["id"].partition("/")[0]
    limits = values.pop("limits", {})
    source = values.pop("source", "") or source
    split = Split(values.pop("split", Split.TEST))
    return Task(
        **values,
        split=split,
        family=family,
        workspace=workspace,
        hidden=hidden,
        limits=replace(
            UNLIMITED_BUDGETS, **{BUDGET_KEYS[key]: value for key, value in limits.items()}
        ),
        verifier=(checks,) if isinstance(checks, dict) else tuple(checks),
        source=source,
    )


def row_of(task: Task) -> dict[str, Any]:
    """The table that `task_of` reads back; what is as usual is left out."""
    keys = {field: key for key, field in BUDGET_KEYS.items()}
    limits = {
        keys[name]: value
        for name in BUDGET_KEYS.values()
        if (value := getattr(task.limits, name)) is not None
    }
    row: dict[str, Any] = {
        "id": task.id,
        "family": task.family,
        "split": str(task.split),
        "prompt": task.prompt,
        "files": dict(task.files),
        "workspace": str(task.workspace) if task.workspace else "",
        "image": task.image,
        "tools": None if task.tools is None else list(task.tools),
        "limits": limits,
        "system": task.system,
        "verifier": [dict(one) for one in task.verifier],
        "hidden": dict(task.hidden),
        "protected": list(task.protected),
        "tags": list(task.tags),
        "meta": dict(task.meta),
        "source": task.source,
    }
    return {
        key: value
        for key, value in row.items()
        if key in ("id", "prompt") or (value is not None and (value or key == "tools"))
    }


def fault_of_path(path: str) -> str:
    """What is wrong with a path into a workspace, to complete a sentence; empty if nothing."""
    pure = PurePosixPath(path)
    if not path or not pure.parts or "\0" in path or path.endswith("/"):
        return "names no file"
    if pure.is_absolute() or ".." in pure.parts or "\\" in path:
        return "leads out of the workspace"
    return ""


def _check_id(identity: str, where: str) -> None:
    is_plain = all(part and not part.startswith(".") for part in identity.split("/"))
    if not is_plain or not identity.isprintable() or len(identity) > MAX_ID_CHARS:
        raise ConfigurationError(
            f"{where}: its id is empty, long, or no plain path.", "Write one like files/rename-3."
        )


def _folder_of(name: str | None, folder: Path, where: str) -> Path | None:
    if not name:
        return None
    if fault := fault_of_path(name):
        raise ConfigurationError(
            f"{where}: its folder {name!r:.200} {fault}.", "Name a folder beside the task's file."
        )
    found = folder / name
    if not found.is_dir() or not found.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(
            f"{where}: its folder {found} is not there.", "Make it, or leave the key out."
        )
    return found
