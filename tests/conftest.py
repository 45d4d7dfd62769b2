"""For all tests: properties that no load of the machine can fail, and a real Docker daemon.

A daemon that is installed but does not run is started (as root), and a minimal image is built by
our own code, once: its packages are kept in the user's cache.
"""

import fcntl
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from wardian_sandbox.docker import packages
from wardian_sandbox.docker.build import from_tarball
from wardian_sandbox.docker.engine import Engine, find_engine
from wardian_sandbox.docker.image import VARIABLE
from wardian_sandbox.docker.packages import MINIMAL, bootstrap, can_bootstrap, host_suite
from wardian_sandbox.docker.problems import DockerError

settings.register_profile(
    "wardian",
    settings.default,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("wardian")

# A program started in the background ignores these, and so does whatever it starts, tests too.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

CACHE = Path.home() / ".cache" / "wardian-tests"
DAEMON_SECONDS = 180


@pytest.fixture
def staging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where copies are made: a temporary folder of this test's own that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="wardian-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture(scope="session")
def docker() -> Iterator[Engine]:
    """A real Docker daemon: the one that runs, else one started for the tests."""
    engine = find_engine()
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        if not answers(engine):
            pytest.skip("no Docker daemon that this user may use or start")
        yield engine
        return
    own = Dockerd(CACHE / "docker", engine.path, {})
    with (CACHE / "docker.users").open("w") as users:
        with alone("docker"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not answers(engine):
                own.start()
        yield engine
        with alone("docker"), suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the last of the workers
            own.stop()


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
        folder.mkdir(parents=True, exist_ok=True)
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
