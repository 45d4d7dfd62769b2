"""Which image boxes run: the one that was built here, by its digest."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wardian_sandbox.docker.engine import Engine
from wardian_sandbox.docker.naming import check_reference
from wardian_sandbox.docker.problems import BUILD, DockerError, no_image
from wardian_sandbox.errors import SandboxError

DEFAULT_IMAGE = "wardian-sandbox:latest"
VARIABLE = "WARDIAN_SANDBOX_IMAGE"
FILE = "images.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that was built here."""

    name: str
    digest: str
    """sha256:…, Docker's id of it"""
    source: str
    """What it was built from: the Debian release, or the Dockerfile."""
    packages: tuple[str, ...] = ()
    built: str = ""
    """ISO 8601, UTC"""
    backends: tuple[str, ...] = ()
    """Those that were seen to hold what they promise with it here."""


def default_image() -> str:
    """The image that is run where none is named."""
    return os.environ.get(VARIABLE) or DEFAULT_IMAGE


def data_folder() -> Path:
    """Where what was built is written down: the same folder that runs are kept in."""
    if home := os.environ.get("WARDIAN_HOME"):
        return Path(home).expanduser().absolute()
    usual = os.environ.get("XDG_DATA_HOME", "")
    return (Path(usual) if usual.startswith("/") else Path.home() / ".local/share") / "wardian"


def recorded(name: str) -> Image | None:
    """The image of that name that was built here last."""
    entry = _read().get(name)
    if entry is None:
        return None
    return Image(
        name=str(entry["name"]),
        digest=str(entry["digest"]),
        source=str(entry["source"]),
        packages=tuple(entry["packages"]),
        built=str(entry["built"]),
        backends=tuple(entry["backends"]),
    )


def record(image: Image) -> Path:
    """Write it down; gives the file. Raises: SandboxError."""
    path = data_folder() / FILE
    entries = _read() | {image.name: asdict(image)}
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.write_text(json.dumps(entries, indent=2) + "\n")
        new.chmod(0o600)
        new.replace(path)
    except OSError as problem:
        raise SandboxError(
            f"The image cannot be recorded in {path} ({problem.strerror}).",
            "Make that folder writable, or set WARDIAN_HOME.",
        ) from problem
    return path


async def is_there(engine: Engine, name: str) -> bool:
    """Has the engine an image of that name?

    Raises: DockerError when it cannot say; InvalidRequest when nothing can be called that.
    """
    check_reference(name)
    try:
        await engine.ask("GET", f"/images/{name}/json")
    except DockerError as problem:
        if problem.status != 404:
            raise
        return False
    return True


async def find(engine: Engine, name: str) -> str:
    """The digest to run for `name`, which may itself be a digest.

    Raises: DockerError when it is not there, or is not the one that was recorded; InvalidRequest
    when nothing can be called that.
    """
    check_reference(name)
    try:
        there = (await engine.ask("GET", f"/images/{name}/json"))["Id"]
    except DockerError as problem:
        raise no_image(name) if problem.status == 404 else problem from problem
    known = recorded(name)
    if known is not None and known.digest != there:
        raise DockerError(
            0,
            f"The image {name} is not the one that was built here ({there[:19]}, not "
            f"{known.digest[:19]}).",
            f"Build it anew with '{BUILD}'.",
        )
    return str(there)


def foreign(name: str, digest: str) -> str:
    """What to tell whoever runs an image that was never recorded here; empty for others."""
    if any(entry["digest"] == digest for entry in _read().values()):
        return ""
    return (
        f"The image {name} ({digest[:19]}) was not made by '{BUILD}' here: nobody tried whether it "
        "holds, and the programs in it are whoever's who made it."
    )


def _read() -> dict[str, dict[str, Any]]:
    try:
        return dict(json.loads((data_folder() / FILE).read_text()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise SandboxError(
            f"The record of images {data_folder() / FILE} cannot be read ({problem}).",
            f"Remove it, and build anew with '{BUILD}'.",
        ) from problem
