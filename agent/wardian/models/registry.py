"""Models of the user's own: each in a folder with its lineage, spelled `local:NAME`.

A name stands for the same weights for good: nothing is written over. A folder is put together
beside its place and moved there whole, so that a model is registered or it is not.
"""

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from wardian.errors import ConfigurationError, ModelUnavailable, StorageError
from wardian.settings.places import make_folder, paths

PREFIX = "local:"
FOLDER = "own"
"""Below the folder of models"""
MODEL_FILE, ADAPTER_FILE, LINEAGE_FILE = "model.gguf", "adapter.gguf", "lineage.json"
SCHEMA = "wardian-model/1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORK = ".work-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A model, and all that is known of how it came to be."""

    name: str
    sha256: str
    """Of the GGUF file, or of the adapter's"""
    created: str = ""
    """UTC, ISO 8601"""
    parent: str = ""
    """Spelling of the model it was trained from; an adapter is put on it"""
    is_adapter: bool = False
    reply_tokens: int | None = None
    """The longest reply, where the model's family has one"""
    lineage: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What made it: `training` (method, data, recipe, hashes, commit), `conversion` (quantisation,
    sources, agreement with them), `evaluations`"""

    @property
    def spelling(self) -> str:
        return PREFIX + self.name

    def as_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}


class Registry:
    """The models below one folder."""

    def __init__(self, models: Path) -> None:
        """`models`: where models are kept, as `paths(environ).models` says."""
        self.root = models / FOLDER

    def add(self, model: Registered, file: Path, *, moves: bool = False) -> Path:
        """Register the GGUF file, which is copied, or moved; gives its new path.

        Raises: ConfigurationError for a name that cannot be or is taken; StorageError.
        """
        self.check_free(model.name)
        place = self.root / model.name
        name = ADAPTER_FILE if model.is_adapter else MODEL_FILE
        try:
            with self.workplace() as folder:
                unfinished = folder / model.name
                unfinished.mkdir(mode=0o700)
                (shutil.move if moves else shutil.copyfile)(file, unfinished / name)
                _sync(unfinished / name)
                _write(unfinished / LINEAGE_FILE, _text(model.as_json()))
                unfinished.rename(place)
                _sync(self.root)
        except OSError as e:
            if e.errno in (errno.EEXIST, errno.ENOTEMPTY):
                raise _taken(model.name) from e
            raise StorageError(
                f"The model cannot be registered: {e.strerror or e}.",
                f"Check the space and the permissions of {self.root}.",
            ) from e
        return place / name

    def check_free(self, name: str) -> None:
        """Raises: ConfigurationError for a name that cannot be, or is taken."""
        if _NAME.fullmatch(name) is None:
            raise ConfigurationError(
                f"A model cannot be called {name!r}.",
                "Take up to 64 letters, digits, dots, dashes and underscores, "
                "a letter or digit first.",
            )
        if (self.root / name).exists():
            raise _taken(name)

    @contextmanager
    def workplace(self) -> Generator[Path]:
        """A folder on the same disk, gone afterwards; what killed processes left goes too."""
        make_folder(self.root)
        for left in self.root.glob(f"{_WORK}*"):
            if not _lives(int(left.name.removeprefix(_WORK).partition("-")[0])):
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=self.root, prefix=f"{_WORK}{os.getpid()}-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def get(self, name: str) -> Registered:
        """Raises: ModelUnavailable."""
        path = self.root / name / LINEAGE_FILE
        if _NAME.fullmatch(name) is None or not path.is_file():
            raise ModelUnavailable(
                f"No model of your own is called {name!r}.", "`agent models list` shows them."
            )
        try:
            value: Any = json.loads(path.read_text(encoding="utf-8"))
            return _read(cast("dict[str, Any]", value))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as e:
            raise ModelUnavailable(
                f"What is known of the model {name!r} cannot be read ({path}).",
                f"Register it again, or remove it: agent models rm {PREFIX}{name}",
            ) from e

    def file(self, model: Registered) -> Path:
        return self.root / model.name / (ADAPTER_FILE if model.is_adapter else MODEL_FILE)

    def names(self) -> list[str]:
        found = self.root.glob(f"*/{LINEAGE_FILE}")
        return sorted(path.parent.name for path in found if _NAME.fullmatch(path.parent.name))

    def remove(self, name: str) -> int:
        """Delete a model and its lineage; gives the bytes freed. Raises: ModelUnavailable."""
        place = self.root / self.get(name).name
        freed = sum(path.stat().st_size for path in place.iterdir())
        going = place.with_name(f".going-{name}")
        place.rename(going)
        shutil.rmtree(going)
        return freed

    def free_name(self, wanted: str) -> str:
        """`wanted`, or with the first number after it that is free."""
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", wanted).strip("-._")[:56] or "model"
        if not (self.root / base).exists():
            return base
        number = 2
        while (self.root / f"{base}-{number}").exists():
            number += 1
        return f"{base}-{number}"

    def note(self, name: str, key: str, entry: Mapping[str, Any]) -> None:
        """Add to a list in a model's lineage, such as its evaluations. Raises: ModelUnavailable."""
        model = self.get(name)
        entries: list[Any] = [*model.lineage.get(key, ()), dict(entry)]
        changed = {**model.as_json(), "lineage": {**model.lineage, key: entries}}
        path = self.root / name / LINEAGE_FILE
        partial = path.with_suffix(".partial")
        _write(partial, _text(changed))
        partial.replace(path)


def registry(environ: Mapping[str, str]) -> Registry:
    """The user's own."""
    return Registry(paths(environ).models)


def name_of(spelling: str) -> str | None:
    """NAME of `local:NAME`; None for another kind of model."""
    return spelling.removeprefix(PREFIX) if spelling.startswith(PREFIX) else None


def _taken(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"There is a model {PREFIX}{name} already; a name stands for the same weights for good.",
        "Choose another with --name, or remove that one: agent models rm",
    )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _read(value: dict[str, Any]) -> Registered:
    """Raises: ValueError, TypeError, KeyError."""
    if value["schema"] != SCHEMA or _SHA256.fullmatch(value["sha256"]) is None:
        raise ValueError("it is of another schema")
    known = Registered.__slots__
    return Registered(**{key: value[key] for key in known if key in value})


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
