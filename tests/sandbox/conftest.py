"""A workspace, and boxes around it. Every backend this machine has is tested.

For those in containers a Docker daemon that is installed but does not run is started (as root),
and a minimal image is built by our own code, once: its packages are kept in the user's cache.
"""

import asyncio
import fcntl
import hashlib
import importlib.util
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import (
    Confinement,
    ExecResult,
    FileFailure,
    ResourceLimits,
    SupervisedSandbox,
    open_sandbox,
)
from wardian_sandbox.docker import packages
from wardian_sandbox.docker.build import from_tarball
from wardian_sandbox.docker.engine import Engine, find_engine
from wardian_sandbox.docker.image import VARIABLE
from wardian_sandbox.docker.leftovers import OWNER, PROJECT
from wardian_sandbox.docker.packages import MINIMAL, bootstrap, can_bootstrap, host_suite
from wardian_sandbox.docker.probing import runtimes
from wardian_sandbox.docker.problems import DockerError

CACHE = Path.home() / ".cache" / "wardian-tests"
DAEMON_SECONDS = 60
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))
Work = Callable[[SupervisedSandbox], Awaitable[Any]]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "notes.txt").write_text("alpha\nbeta\ngamma\n")
    (folder / "src").mkdir()
    (folder / "src" / "main.py").write_text("print('hello')\n")
    (folder / ".hidden").write_text("not shown\n")
    return folder


@pytest.fixture
def staging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where copies are made: a temporary folder of this test's own that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="wardian-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture(params=["bubblewrap", "docker", "gvisor", "none"])
def backend(request: pytest.FixtureRequest, prepared: Callable[[str], str]) -> str:
    """Every backend; overridden where only some are meant."""
    return prepared(str(request.param))


@pytest.fixture
def prepared(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """`prepared(backend)`: its name, once it can be used here; skips where it cannot be had."""

    def preparing(name: str) -> str:
        if name in ("docker", "gvisor"):
            request.getfixturevalue("docker_image")
        if name == "gvisor":
            request.getfixturevalue("gvisor")
        return name

    return preparing


@pytest.fixture(scope="session")
def docker() -> Iterator[Engine]:
    """A real Docker daemon: the one that runs, else one started for the tests."""
    engine = find_engine()
    folder = CACHE / "docker"
    started = Dockerd(folder, engine.path, {})
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "docker.users").open("w") as users:
        with alone("docker"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not answers(engine):
                if os.geteuid() != 0 or shutil.which("dockerd") is None:
                    pytest.skip("no Docker daemon that this user may use or start")
                started.start()
        yield engine
        with alone("docker"), suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the last of the workers
            started.stop()


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Keeps the other workers of this test run (and other runs) out of what `name` stands for."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Dockerd:
    """A Docker daemon that the tests start and stop."""

    def __init__(self, folder: Path, path: Path, options: dict[str, Any]) -> None:
        """`folder` is for its own files, `path` its socket."""
        self.engine = Engine(path)
        folder.mkdir(exist_ok=True)
        self._pid_file, self._log = folder / "docker.pid", folder / "log"
        self._configuration = folder / "daemon.json"
        own = {"hosts": [f"unix://{path}"], "pidfile": str(self._pid_file)}
        runsc = {"path": "/usr/bin/runsc", "runtimeArgs": ["--network=none", "--platform=ptrace"]}
        runtimes = {"runtimes": {"runsc": runsc} if Path(str(runsc["path"])).exists() else {}}
        self._configuration.write_text(json.dumps(DAEMON | own | runtimes | options))

    def start(self) -> None:
        # Not a child of the tests, which look at what their children leave.
        command = ["setsid", "--fork", "dockerd", f"--config-file={self._configuration}"]
        with self._log.open("ab") as log:
            subprocess.run(command, stdout=log, stderr=log, check=True)
        until = time.monotonic() + DAEMON_SECONDS
        while not answers(self.engine):
            assert time.monotonic() < until, self._log.read_text()[-2000:]
            time.sleep(0.1)

    def stop(self) -> None:
        if not self.is_running:
            return
        watch = os.pidfd_open(int(self._pid_file.read_text()))
        signal.pidfd_send_signal(watch, signal.SIGTERM)
        ended, _, _ = select.select([watch], [], [], DAEMON_SECONDS)
        os.close(watch)
        assert ended, self._log.read_text()[-2000:]

    @property
    def is_running(self) -> bool:
        if not self._pid_file.exists():
            return False
        name = Path(f"/proc/{self._pid_file.read_text()}/comm")
        return name.exists() and name.read_text() == "dockerd\n"


DAEMON = {
    "bridge": "none",
    "iptables": False,
    "ip6tables": False,
    "storage-driver": "overlay2",
}
"""Boxes have no network, so the daemon needs none."""


def answers(engine: Engine) -> bool:
    try:
        engine.call("GET", "/version")
    except DockerError:
        return False
    return True


@pytest.fixture(scope="session")
def dockerd() -> type[Dockerd]:
    """For tests that stop a daemon."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("no root, or no dockerd")
    return Dockerd


@pytest.fixture(scope="session")
def docker_tarball() -> Path:
    """The file system of the minimal image, made once by our own code; named by its digest."""
    suite = host_suite()
    recipe = Path(packages.__file__).read_bytes()
    key = hashlib.sha256(recipe + json.dumps([MINIMAL, suite]).encode()).hexdigest()[:12]
    tarball = CACHE / f"{key}.tar"
    with alone(key):
        if not tarball.exists():
            if not can_bootstrap():
                pytest.skip("no image for containers, and no mmdebstrap to make one")
            new = tarball.with_suffix(".new.tar")
            bootstrap(MINIMAL, suite, new, print)
            new.replace(tarball)
    return tarball


@pytest.fixture(scope="session")
def docker_image(docker: Engine, docker_tarball: Path) -> Iterator[str]:
    """The minimal image, of which every box of the tests is."""
    name = f"wardian-sandbox-test:{docker_tarball.stem}"
    with alone(docker_tarball.stem):
        if not is_there(docker, name):
            from_tarball(docker, name, docker_tarball, host_suite(), MINIMAL, say=print)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, name)
        yield name


def is_there(engine: Engine, image: str) -> bool:
    try:
        engine.call("GET", f"/images/{image}/json")
    except DockerError as problem:
        if problem.status != 404:
            raise
        return False
    return True


@pytest.fixture(scope="session")
def gvisor(docker: Engine) -> None:
    if "runsc" not in asyncio.run(runtimes(docker)):
        pytest.skip("the Docker daemon has no runtime runsc")


@pytest.fixture
def family(backend: str) -> Callable[..., list[int]]:
    """`family(pid)`: the processes of its boxes, by default of this process's, that are alive."""

    def finding(pid: int = os.getpid()) -> list[int]:
        roots = [pid, *(containers_of(pid) if backend in ("docker", "gvisor") else [])]
        return [one for one in processes() if one != pid and any(is_in(one, top) for top in roots)]

    return finding


def containers_of(owner: int) -> list[int]:
    """The first process of each container that boxes of `owner` run in."""
    engine = find_engine()
    wanted = json.dumps({"label": [f"{PROJECT}=wardian"]})
    mine = [
        found["Id"]
        for found in engine.call("GET", "/containers/json", filters=wanted)
        if found["Labels"][OWNER].startswith(f"{owner} ")
    ]
    states = [engine.call("GET", f"/containers/{one}/json")["State"] for one in mine]
    return [state["Pid"] for state in states if state["Pid"]]


def processes() -> set[int]:
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()}


def is_in(pid: int, ancestor: int) -> bool:
    """Is it `ancestor`, or descended from it?"""
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return False
        pid = int(fields[1])
    return False


@pytest.fixture
def work(backend: str, workspace: Path) -> Callable[..., Any]:
    """`work(do, within, mode)`: what `do(box)` gives, in a new box."""

    def working(do: Work, within: Confinement = PLENTY, mode: str = "mount") -> Any:
        async def scenario() -> Any:
            async with await open_sandbox(backend, workspace, within, mode=mode) as box:
                return await do(box)

        return asyncio.run(scenario())

    return working


@pytest.fixture
def python(work: Callable[..., Any]) -> Callable[..., list[ExecResult]]:
    """`python(*cells, within=…)`: the results of cells run one after another in one box."""

    def running(*cells: str, within: Confinement = PLENTY) -> list[ExecResult]:
        async def do(box: SupervisedSandbox) -> list[ExecResult]:
            return [await box.python(cell, within) for cell in cells]

        results: list[ExecResult] = work(do, within)
        return results

    return running


@pytest.fixture
def shell(work: Callable[..., Any]) -> Callable[..., ExecResult]:
    """`shell(command, within=…)`: its result, in a new box."""

    def running(command: str, within: Confinement = PLENTY) -> ExecResult:
        result: ExecResult = work(lambda box: box.shell(command, within), within)
        return result

    return running


@pytest.fixture
def file(work: Callable[..., Any]) -> Callable[..., Any]:
    """`file(operation, within=…, **arguments)`: its result, in a new box."""

    def doing(
        operation: str, within: Confinement = PLENTY, **arguments: Any
    ) -> dict[str, Any] | FileFailure:
        result: dict[str, Any] | FileFailure = work(
            lambda box: box.file(operation, arguments, within)
        )
        return result

    return doing


@pytest.fixture(scope="session")
def support() -> Any:
    """The module tests/support/outside.py."""
    path = Path(__file__).parents[1] / "support" / "outside.py"
    spec = importlib.util.spec_from_file_location("outside", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["outside"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def outside(support: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Servers that stand for the internet: an `Outside`."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")
    with support.Outside(tmp_path_factory.mktemp("outside")) as servers:
        yield servers
