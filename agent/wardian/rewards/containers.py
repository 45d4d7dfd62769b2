"""Graders that need a container of their own image: Harbor's `tests/test.sh`.

Covers: the container is not the run's, has no network, no more memory and processes than it is
given, and is removed; the tests come into it when the run is over; what the run left is put in the
place of the image's working folder, whatever the image had there.
Does not cover: tests that share a process with the code they test. They run as root of the
container, as Harbor's do.
Source: Harbor, "Tasks" (task.toml, tests/test.sh, /logs/verifier/reward.txt and reward.json).
"""

import io
import json
import math
import posixpath
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from wardian.rewards.types import Attempt, GradingFailed, Reward
from wardian.rewards.versions import version_of
from wardian_sandbox.docker.engine import Engine, find_engine
from wardian_sandbox.docker.leftovers import labels
from wardian_sandbox.docker.problems import DockerError

WORKSPACE = "/.wardian-workspace"
TESTS = "/tests"
SOLUTION = "/solution"
LOGS = "/logs/verifier"
MAX_OUTPUT_CHARS = 2_000
MAX_REWARD_BYTES = 1 << 20
MEMORY_BYTES = 4 << 30
PROCESSES = 512
GRACE_SECONDS = 20.0
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "KILL"]
"""What package managers and test runners started by root use."""
SCRIPT = """\
set -e
mkdir -p "$WORKDIR"
find "$WORKDIR" -mindepth 1 -delete
cp -a {workspace}/. "$WORKDIR"/
rm -rf {workspace}
cd "$WORKDIR"
if [ -e {solution}/solve.sh ]; then
    timeout -k 5 "$SECONDS_LEFT" bash {solution}/solve.sh > {logs}/solution.txt 2>&1 || true
fi
exec timeout -k 5 "$SECONDS_LEFT" bash {tests}/test.sh > {logs}/output.txt 2>&1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HarborTests:
    """`test.sh` in a container of the task's image says by a file what the run was worth.

    That it wrote no such file is a fault of the grader, and no reward of 0.
    """

    name: str = field(default="harbor", init=False)
    files: Mapping[str, str]
    """Path below `/tests` → text; `test.sh` is among them"""
    image: str
    workdir: str = "/app"
    """Where the image's own files of the task are, and where the tests look for them"""
    seconds: float = 600.0
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    solution: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path below `/solution` → text; its `solve.sh` is run first: to try the task itself"""

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        """Raises: GradingFailed."""
        if attempt.workspace is None:
            raise GradingFailed("The run's files are not known.", "Grade where its workspace is.")
        try:
            engine = find_engine()
            await self._check_image(engine)
            ended, files = await self._run(engine, attempt.workspace)
        except (DockerError, OSError) as problem:
            raise GradingFailed(
                f"The tests need a container: {problem}",
                "Start Docker, and make the image with `agent tasks build`.",
            ) from problem
        output = files.get("output.txt", b"").decode("utf-8", "replace")[-MAX_OUTPUT_CHARS:]
        value = reward_in(files)
        if value is None:
            raise GradingFailed(
                f"tests/test.sh ended with {ended} and wrote no reward: {output[-300:]!r}",
                "It has no network here: what it installs must be in the image.",
            )
        detail = {"exit_code": ended, "output": output}
        return Reward(value=value, source=self.name, version=self.version, detail=detail)

    async def _check_image(self, engine: Engine) -> None:
        """Raises: GradingFailed, DockerError."""
        try:
            await engine.ask("GET", f"/images/{self.image}/json")
        except DockerError as problem:
            if problem.status != 404:
                raise
            raise GradingFailed(
                f"The image {self.image} is not on this machine, and nothing is pulled.",
                "Make it with `agent tasks build FOLDER`, or `docker pull` it.",
            ) from None

    async def _run(self, engine: Engine, workspace: Path) -> tuple[int, dict[str, bytes]]:
        made = await engine.ask("POST", "/containers/create", body=self._container())
        container = str(made["Id"])
        try:
            for archive in (self._tests(), packed(workspace)):
                put_archive(engine, container, archive)
            await engine.ask("POST", f"/containers/{container}/start")
            waited = await engine.ask(
                "POST", f"/containers/{container}/wait", seconds=2 * self.seconds + GRACE_SECONDS
            )
            logs = engine.read(archive_path(container, LOGS))
            return int(waited.get("StatusCode", -1)), unpacked(logs)
        finally:
            await engine.ask("DELETE", f"/containers/{container}", force=1, v=1)

    def _container(self) -> dict[str, Any]:
        """The body of `POST /containers/create`."""
        given = {**self.environment, "WORKDIR": self.workdir}
        given["SECONDS_LEFT"] = f"{self.seconds:g}"
        script = SCRIPT.format(workspace=WORKSPACE, tests=TESTS, logs=LOGS, solution=SOLUTION)
        return {
            "Image": self.image,
            "User": "0:0",
            "Entrypoint": ["bash", "-c", script],
            "Cmd": [],
            "Env": [f"{name}={value}" for name, value in given.items()],
            "Labels": labels("grading"),
            "NetworkDisabled": True,
            "HostConfig": {
                "NetworkMode": "none",
                "CapDrop": ["ALL"],
                "CapAdd": CAPABILITIES,
                "SecurityOpt": ["no-new-privileges"],
                "Memory": MEMORY_BYTES,
                "MemorySwap": MEMORY_BYTES,
                "PidsLimit": PROCESSES,
            },
        }

    def _tests(self) -> bytes:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as archive:
            for folder in (TESTS, posixpath.dirname(LOGS), LOGS):
                info = tarfile.TarInfo(folder.lstrip("/"))
                info.type, info.mode = tarfile.DIRTYPE, 0o777
                archive.addfile(info)
            below_tests = {f"{TESTS}/{path}": text for path, text in self.files.items()}
            solution = {f"{SOLUTION}/{path}": text for path, text in self.solution.items()}
            for path, text in {**below_tests, **solution}.items():
                content = text.encode()
                info = tarfile.TarInfo(path.lstrip("/"))
                info.size, info.mode = len(content), 0o755
                archive.addfile(info, io.BytesIO(content))
        return made.getvalue()


def packed(workspace: Path) -> bytes:
    """The workspace as a tar archive, everything root's."""

    def owned(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if not (info.isfile() or info.isdir() or info.issym()):
            return None
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.add(workspace, WORKSPACE.lstrip("/"), filter=owned)
    return made.getvalue()


def put_archive(engine: Engine, container: str, archive: bytes) -> None:
    """Raises: DockerError."""
    path = archive_path(container, "/")
    list(engine.progress("PUT", path, io.BytesIO(archive), media="application/x-tar"))


def archive_path(container: str, path: str) -> str:
    """Of Docker's API, for a path of a container."""
    return f"/containers/{container}/archive?{urlencode({'path': path})}"


def unpacked(archive: bytes) -> dict[str, bytes]:
    """Name → content of the plain files of a folder, none larger than is looked at."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for info in opened:
            stream = opened.extractfile(info) if info.isfile() else None
            if stream is not None:
                found[posixpath.basename(info.name)] = stream.read(MAX_REWARD_BYTES)
    return found


def reward_in(files: Mapping[str, bytes]) -> float | None:
    """What `reward.txt`, or `reward.json` says: its `reward`, or the one number it has."""
    if (text := files.get("reward.txt")) is not None:
        return finite(text.decode("utf-8", "replace").strip())
    try:
        said: object = json.loads(files.get("reward.json", b""))
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return finite(said)
    table = cast("dict[str, object]", said)
    if "reward" in table or len(table) != 1:
        return finite(table.get("reward"))
    return finite(next(iter(table.values())))


def finite(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
