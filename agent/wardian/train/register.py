"""From what a training left, or a GGUF file, to a registered model with its lineage."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardian._version import __version__
from wardian.errors import ConfigurationError, ModelUnavailable
from wardian.models.catalogue import local_file, reply_tokens_of
from wardian.models.gguf_files import FILE_KINDS, check_gguf
from wardian.models.llamacpp.header import HeaderDamaged, read_header
from wardian.models.registry import ADAPTER_FILE, MODEL_FILE, Registered, Registry
from wardian.train.base import MODEL_FOLDER
from wardian.train.checkpoints import RESULT_FILE
from wardian.train.gguf.convert import Converted, Seen, convert, convert_adapter
from wardian.train.gguf.sources import read_json

CARD = ".card.json"
"""Beside a file of data: where its rows come from"""
TRAINING_KEYS = ("method", "base", "base_hashes", "data", "recipe", "recipe_sha256", "wardian")


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a model is converted and registered."""

    name: str = ""
    """Empty takes the source's, with a number where that is taken"""
    quantisation: str = "F16"
    parent: str = ""
    """Spelling of the model it was trained from; empty takes what the training says"""
    base: Path | None = None
    """Folder of an adapter's base; None takes the one that its configuration names"""
    as_adapter: bool = False
    """Keep an adapter apart, to be put on `parent`, in place of merging it"""


def register(
    source: Path,
    models: Registry,
    how: How,
    *,
    environ: Mapping[str, str] | None = None,
    seen: Seen = lambda _: None,
) -> Registered:
    """Convert what is in `source` where it has to be, check it, and register it.

    `source`: the folder that `agent train` wrote, a folder of weights or of an adapter, or a GGUF
    file. Raises: WardianError; nothing is registered then.
    """
    environ = os.environ if environ is None else environ
    made = _training_of(source)
    parent = how.parent or _parent(made)
    name = how.name or models.free_name(source.resolve().stem if source.is_file() else source.name)
    models.check_free(name)
    model = Registered(
        name=name,
        sha256="",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        parent=parent,
        is_adapter=how.as_adapter,
        reply_tokens=_reply_tokens(parent, environ),
    )
    if source.is_file():
        return _added(source, models, model)
    with models.workplace() as folder:
        weights = source / MODEL_FOLDER if made else source
        done = _converted(weights, folder, model, how, environ, seen)
        lineage = {"training": _training(made), "conversion": _conversion(done)}
        model = replace(model, sha256=sha256_of(done.path), lineage=lineage)
        models.add(model, done.path, moves=True)
    return model


def _added(source: Path, models: Registry, model: Registered) -> Registered:
    """A GGUF file that was made elsewhere. Raises: WardianError."""
    check_gguf(source)
    try:
        header = read_header(source)
    except HeaderDamaged as e:
        raise ModelUnavailable(f"The model file {source} {e}.", "Make or copy it again.") from e
    if header.values.get("general.type") == "adapter":
        raise ConfigurationError(
            f"{source} is an adapter.", "Put it on its model at each run: --adapter FILE"
        )
    lineage = {"added": {"path": str(source.absolute()), **_made_by()}}
    model = replace(model, sha256=sha256_of(source), lineage=lineage)
    models.add(model, source)
    return model


def _converted(
    weights: Path,
    folder: Path,
    model: Registered,
    how: How,
    environ: Mapping[str, str],
    seen: Seen,
) -> Converted:
    """Raises: WardianError."""
    if not how.as_adapter:
        out = folder / MODEL_FILE
        return convert(
            weights, out, quantisation=how.quantisation, base=how.base, name=model.name, seen=seen
        )
    if model.parent != "tiny" and not model.parent.startswith(FILE_KINDS):
        raise ConfigurationError(
            "An adapter is put on a model that is a file here, and none is named.",
            "Name the GGUF file of its base: --parent gguf:PATH",
        )
    return convert_adapter(
        weights,
        folder / ADAPTER_FILE,
        base_gguf=local_file(model.parent, environ),
        base=how.base,
        name=model.name,
        seen=seen,
    )


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _training_of(source: Path) -> dict[str, Any]:
    """What `agent train` says of its folder; nothing for another kind of source."""
    return read_json(source / RESULT_FILE) if (source / RESULT_FILE).is_file() else {}


def _parent(made: Mapping[str, Any]) -> str:
    base = str(made.get("base", ""))
    return base if base == "tiny" or base.startswith(FILE_KINDS) else ""


def _reply_tokens(parent: str, environ: Mapping[str, str]) -> int | None:
    with suppress(ModelUnavailable):
        return reply_tokens_of(parent, environ)
    return None  # the parent is gone


def _training(made: Mapping[str, Any]) -> dict[str, Any]:
    """What a training says of itself, with the hashes of its data as they are now."""
    if not made:
        return {}
    kept = {key: made[key] for key in TRAINING_KEYS if key in made}
    named: Any = made.get("data") or []
    files: list[Any] = [named] if isinstance(named, str) else named
    return {**kept, "data": [_data(Path(str(file))) for file in files], "commit": commit()}


def _data(path: Path) -> dict[str, Any]:
    """A file of rows, and what its card says of them."""
    facts: dict[str, Any] = {"path": str(path.absolute())}
    if path.is_file():
        facts["sha256"] = sha256_of(path)
    card = path.with_name(path.name + CARD)
    with suppress(ModelUnavailable):
        facts["card"] = read_json(card)
    return facts


def _conversion(done: Converted) -> dict[str, Any]:
    return {
        "quantisation": done.quantisation,
        "sources": done.sources,
        "agreement": done.agreement.as_dict(),
        **_made_by(),
    }


def _made_by() -> dict[str, Any]:
    return {"wardian": __version__, "commit": commit()}


def commit() -> str | None:
    """Of Wardian's own source, where it runs from a checkout."""
    here = Path(__file__).resolve().parent
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run(
        [git, "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    tracked = subprocess.run(
        [git, "-C", str(here), "ls-files", "--error-unmatch", Path(__file__).name],
        capture_output=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 and tracked.returncode == 0 else None
