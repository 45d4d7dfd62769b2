"""Harbor's task folders, read as tasks: task.toml, instruction.md, environment/, tests/test.sh.

Reading asks nothing of Docker. `built` makes the image of a task's Dockerfile and keeps what the
image has in its working folder, which is the task's start workspace; from then on the task can be
attempted with `--sandbox docker` and is graded in a container of the same image.
Does not cover: tasks of several services (docker-compose) or of several steps; tests that need a
network; instructions that only hold with the files at their own absolute path, since the workspace
of a box is always the same folder, as the solver is told.
Source: Harbor, "Tasks"; the fields are those of its schema up to version 1.1.
"""

import io
import json
import os
import re
import shutil
import tarfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

from wardian.errors import ConfigurationError, StorageError
from wardian.evals.contents import digest_of_folder, texts_of_folder
from wardian.evals.tasks import Task
from wardian.rewards.containers import HarborTests, archive_path
from wardian.settings import paths
from wardian.settings.load import UNLIMITED_BUDGETS
from wardian_sandbox.docker.build import from_dockerfile
from wardian_sandbox.docker.engine import Engine, find_engine
from wardian_sandbox.docker.image import record
from wardian_sandbox.docker.leftovers import labels
from wardian_sandbox.docker.problems import DockerError

INSTRUCTION, CONFIG, TEST = "instruction.md", "task.toml", "test.sh"
WORKDIR = "/app"
"""Where a task's files are, when neither it nor its image says otherwise."""
SECONDS = 600.0
KEPT = "harbor"
IMAGE = "wardian-harbor"
FROM = re.compile(r"(?im)^\s*FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?")
SOLVER_NOTE = (
    "The task was written for the folder {workdir}. Its files are your workspace here: read every"
    " path below {workdir} as a path below the workspace."
)


def is_harbor(folder: Path) -> bool:
    return (folder / INSTRUCTION).is_file() and (folder / CONFIG).is_file()


def harbor_task(folder: Path, name: str) -> Task:
    """The task of a Harbor folder. Raises: ConfigurationError for what cannot be attempted here."""
    try:
        said = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
        prompt = (folder / INSTRUCTION).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as problem:
        raise ConfigurationError(
            f"The Harbor task {folder} cannot be read: {problem!s:.200}.", "Mend it."
        ) from problem
    if fault := unfit(folder, said):
        raise ConfigurationError(f"The Harbor task {folder} {fault}.", "Leave it out.")
    metadata, environment = _part(said, "metadata"), _part(said, "environment")
    seconds = _seconds(_part(said, "agent"), folder)
    image = str(environment.get("docker_image") or image_name(folder))
    workdir = str(environment.get("workdir") or kept_of(image).get("workdir") or WORKDIR)
    workspace = kept_folder(image) / "workspace"
    tags: object = metadata.get("tags") or _part(said, "task").get("keywords")
    return Task(
        id=name,
        family=str(metadata.get("category") or "harbor"),
        prompt=prompt,
        workspace=workspace if workspace.is_dir() else None,
        image=image,
        system=SOLVER_NOTE.format(workdir=workdir),
        limits=replace(UNLIMITED_BUDGETS, wall_seconds=seconds),
        verifier=(_grading(folder, _part(said, "verifier"), image, workdir),),
        tags=tuple(map(str, cast("list[object]", tags))) if isinstance(tags, list) else (),
        meta={"harbor": json.loads(json.dumps(metadata, default=str))},
        source=str(folder),
    )


def _grading(folder: Path, said: Mapping[str, Any], image: str, workdir: str) -> dict[str, Any]:
    """The table of `wardian.rewards.containers.HarborTests`. Raises: ConfigurationError."""
    return {
        "kind": "harbor",
        "files": texts_of_folder(folder / "tests"),
        "image": image,
        "workdir": workdir,
        "seconds": _seconds(said, folder) or SECONDS,
        "environment": {name: str(value) for name, value in _part(said, "env").items()},
    }


def _seconds(table: Mapping[str, Any], folder: Path) -> float | None:
    """Raises: ConfigurationError for what is no time."""
    said = table.get("timeout_sec")
    if said is not None and (not isinstance(said, int | float) or said <= 0):
        raise ConfigurationError(
            f"The Harbor task {folder} has the timeout_sec {said!r:.80}.", "Write seconds."
        )
    return None if said is None else float(said)


def oracle_of(task: Task) -> HarborTests | None:
    """The grader of a Harbor task that runs the task's own `solution/solve.sh` first."""
    folder = Path(task.source)
    if not task.verifier or task.verifier[0].get("kind") != "harbor":
        return None
    if not (folder / "solution" / "solve.sh").is_file():
        return None
    given: dict[str, Any] = {k: v for k, v in task.verifier[0].items() if k != "kind"}
    return HarborTests(**given, solution=texts_of_folder(folder / "solution"))


def unfit(folder: Path, said: Mapping[str, Any]) -> str:
    """Why it cannot be attempted here, to complete a sentence; empty if it can."""
    if not (folder / "tests" / TEST).is_file():
        return f"has no tests/{TEST}"
    if list((folder / "environment").glob("docker-compose.y*ml")):
        return "needs several services (docker-compose)"
    if said.get("steps"):
        return "has several steps"
    if _part(said, "environment").get("docker_image"):
        return ""
    return "" if (folder / "environment" / "Dockerfile").is_file() else "has no Dockerfile"


def image_name(folder: Path) -> str:
    """Of what its image is made from: another Dockerfile makes another image."""
    return f"{IMAGE}:{digest_of_folder(folder / 'environment')[:16]}"


def kept_folder(image: str) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]", "_", image)
    return paths(os.environ).cache / KEPT / name


def kept_of(image: str) -> dict[str, Any]:
    """What `built` wrote down of an image; empty before it did."""
    try:
        said: object = json.loads((kept_folder(image) / "image.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


def built(folder: Path, say: Callable[[str], None]) -> Path:
    """Make a task's image, and keep the files it begins with; gives their folder.

    Nothing is pulled. Raises: ConfigurationError naming an image that is not on this machine;
    DockerError; StorageError.
    """
    task = harbor_task(folder, folder.name)
    engine = find_engine()
    dockerfile = folder / "environment" / "Dockerfile"
    if task.image == image_name(folder):
        if missing := [one for one in bases(dockerfile) if not is_there(engine, one)]:
            raise ConfigurationError(
                f"The image of {folder} is made from {missing[0]}, which is not on this machine,"
                " and nothing is pulled.",
                f"docker pull {missing[0]}",
            )
        record(from_dockerfile(engine, task.image, dockerfile, say=say))
    elif not is_there(engine, task.image):
        raise ConfigurationError(
            f"The image {task.image} of {folder} is not on this machine, and nothing is pulled.",
            f"docker pull {task.image}",
        )
    return keep(engine, task.image)


def bases(dockerfile: Path) -> Iterator[str]:
    """The images that it begins with, none of its own stages."""
    stages: set[str] = set()
    for image, stage in FROM.findall(dockerfile.read_text(encoding="utf-8")):
        if image not in stages and image != "scratch":
            yield image
        stages.add(stage)


def is_there(engine: Engine, image: str) -> bool:
    """Raises: DockerError."""
    try:
        engine.call("GET", f"/images/{image}/json")
    except DockerError as problem:
        if problem.status == 404:
            return False
        raise
    return True


def keep(engine: Engine, image: str) -> Path:
    """Copy what the image has in its working folder. Raises: DockerError, StorageError."""
    described = engine.call("GET", f"/images/{image}/json")
    workdir = str(described.get("Config", {}).get("WorkingDir") or "")
    workdir = WORKDIR if workdir in ("", "/") else workdir
    body = {"Image": image, "Cmd": ["true"], "Labels": labels("harbor")}
    container = str(engine.call("POST", "/containers/create", body=body)["Id"])
    try:
        archive = engine.read(archive_path(container, workdir))
    except DockerError as problem:
        if problem.status != 404:
            raise
        archive = b""
    finally:
        engine.call("DELETE", f"/containers/{container}", force=1, v=1)
    folder = kept_folder(image)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "workspace").mkdir(parents=True)
        if archive:
            unpack(archive, folder / "workspace")
        about = {"image": image, "digest": described["Id"], "workdir": workdir}
        (folder / "image.json").write_text(json.dumps(about), encoding="utf-8")
    except (OSError, tarfile.TarError) as problem:
        raise StorageError(
            f"The files of {image} cannot be kept in {folder}: {problem}.", "Free some space."
        ) from problem
    return folder / "workspace"


def unpack(archive: bytes, folder: Path) -> None:
    """The files of the archive's one folder. Links and special files are left out."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for info in opened:
            inside = PurePosixPath(info.name.partition("/")[2])
            if not inside.parts or inside.is_absolute() or ".." in inside.parts:
                continue
            target = folder / inside
            if info.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif info.isreg() and (content := opened.extractfile(info)):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
                target.chmod(0o755 if info.mode & 0o100 else 0o644)


def _part(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    found: object = table.get(key)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
