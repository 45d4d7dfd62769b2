"""Which checkpoints of a training are whole, and what the training was told.

A kill may leave one half written; only one that carries its mark, which is written last, is gone
on from. What a training was told is beside them: another recipe does not go on with its weights.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any, cast

from wardian.errors import ConfigurationError, StorageError
from wardian.train.recipe import Recipe

MARK = "whole"
CHECKPOINTS = "checkpoints"
BEGUN_FILE = "begun.json"
RESULT_FILE = "training.json"
INDIFFERENT = ("out", "training.checkpoint_steps", "training.keep_checkpoints", "training.threads")
"""Keys that may change between the parts of one training."""


def mark(folder: Path) -> None:
    """Say that all of it is on the disk."""
    with (folder / MARK).open("wb") as file:
        file.flush()
        os.fsync(file.fileno())


def step_of(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def whole_checkpoints(out: Path) -> list[Path]:
    """The oldest first; those that a kill left unfinished are removed."""
    found: list[Path] = []
    for folder in (out / CHECKPOINTS).glob("checkpoint-*"):
        if (folder / MARK).is_file():
            found.append(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return sorted(found, key=step_of)


def drop_old(out: Path, keep: int) -> None:
    for folder in whole_checkpoints(out)[:-keep]:
        shutil.rmtree(folder, ignore_errors=True)


def begin(recipe: Recipe, facts: dict[str, Any], *, fresh: bool) -> Path | None:
    """Make the folder of a training; the checkpoint to go on from, if there is one.

    Raises: ConfigurationError where the folder holds another training, StorageError.
    """
    out = Path(recipe.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{out} cannot be made: {error.strerror}.", "Name another out."
        ) from error
    told = {**_told(recipe), **facts}
    before = _read(out / BEGUN_FILE)
    changed = [
        key for key in {**(before or {}), **told} if (before or {}).get(key) != told.get(key)
    ]
    if fresh or before is None or (changed and not _has_work(out)):
        for name in (CHECKPOINTS, "base", "model", "rollouts"):
            shutil.rmtree(out / name, ignore_errors=True)
        for name in ("metrics.jsonl", RESULT_FILE, "curves.html"):
            (out / name).unlink(missing_ok=True)
        write_json(out / BEGUN_FILE, told)
        return None
    if changed:
        raise ConfigurationError(
            f"{out} holds another training: {changed[0]} is not the same.",
            "Name another out, or say --fresh to begin anew there.",
        )
    found = whole_checkpoints(out)
    return found[-1] if found else None


def _has_work(out: Path) -> bool:
    """Was more done than to look at data and base?"""
    return any((out / name).exists() for name in ("metrics.jsonl", RESULT_FILE, CHECKPOINTS))


def _told(recipe: Recipe) -> dict[str, Any]:
    """As JSON gives it back."""
    values = {key: value for key, value in recipe.as_json().items() if key not in INDIFFERENT}
    return cast("dict[str, Any]", json.loads(json.dumps(values)))


def result_of(out: Path) -> dict[str, Any] | None:
    """What a training that ended wrote; None where it goes on."""
    return _read(out / RESULT_FILE)


def write_json(path: Path, value: dict[str, Any]) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path} cannot be read ({error}).", "Say --fresh to begin anew."
        ) from error
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
