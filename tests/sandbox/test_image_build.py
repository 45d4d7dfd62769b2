"""Making images: of a Dockerfile, of packages; what is written down, and what is then chosen."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import Confinement, SandboxUnavailable, open_sandbox
from wardian_sandbox.choosing import choose
from wardian_sandbox.docker.build import from_dockerfile
from wardian_sandbox.docker.engine import Engine
from wardian_sandbox.docker.image import Image, record, recorded
from wardian_sandbox.docker.packages import NO_MODE, bootstrap, can_bootstrap, host_suite
from wardian_sandbox.docker.problems import DockerError
from wardian_sandbox.proving import prove

NAME = "wardian-sandbox-test:made"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WARDIAN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def dockerfile(docker: Engine, docker_image: str, tmp_path: Path) -> Iterator[Path]:
    """One that adds a file to the image of the tests; its image is removed in the end."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "greeting").write_text("hello\n")
    file = folder / "Dockerfile"
    file.write_text(f"FROM {docker_image}\nCOPY greeting /greeting\n")
    yield file
    try:
        docker.call("DELETE", f"/images/{NAME}", force=1)
    except DockerError as problem:
        if problem.status != 404:
            raise


def build(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "wardian", "sandbox", "build", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_image_of_a_dockerfile_is_tried_recorded_and_used(
    dockerfile: Path, docker: Engine, home: Path, tmp_path: Path
) -> None:
    done = build("--file", str(dockerfile), "--image", NAME, "--json")
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    assert made["digest"] == docker.call("GET", f"/images/{NAME}/json")["Id"]
    assert "docker" in made["backends"]
    assert Path(made["recorded"]).parent == home
    assert (Path(made["recorded"]).stat().st_mode & 0o777) == 0o600
    known = recorded(NAME)
    assert known is not None
    assert known.digest == made["digest"]

    async def greeting() -> str:
        folder = tmp_path / "workspace"
        folder.mkdir()
        async with await open_sandbox("docker", folder, Confinement(), image=NAME) as box:
            return (await box.shell("cat /greeting", Confinement())).output

    assert asyncio.run(greeting()) == "hello\n"


def test_progress_goes_to_stderr_and_the_digest_to_stdout(dockerfile: Path) -> None:
    done = build("--file", str(dockerfile), "--image", NAME)
    assert done.stdout.startswith(f"{NAME} sha256:")
    assert "COPY greeting" in done.stderr
    assert "trying docker" in done.stderr


def test_a_dockerfile_that_fails_says_where(dockerfile: Path, home: Path) -> None:
    dockerfile.write_text("FROM scratch\nCOPY missing /\n")
    done = build("--file", str(dockerfile), "--image", NAME)
    assert done.returncode == 7
    assert "missing" in done.stderr
    assert not (home / "images.json").exists()
    missing = build("--file", "missing")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "no Dockerfile" in missing.stderr


def test_of_a_long_failure_the_last_whole_lines_are_said_and_once(
    dockerfile: Path, docker: Engine
) -> None:
    script = "for i in $(seq 1000); do echo line $i; done; false"
    dockerfile.write_text(f"{dockerfile.read_text()}RUN {script}\n")
    said: list[str] = []
    with pytest.raises(DockerError) as raised:
        from_dockerfile(docker, NAME, dockerfile, say=said.append)
    first, *lines = raised.value.cause.splitlines()
    assert first == "The image could not be built:"
    assert len(raised.value.cause) < 2_100
    assert "line 1000" in lines
    assert set(lines) >= {f"line {number}" for number in range(900, 1001)}
    assert not set(lines) & set(said)
    left = docker.call("GET", "/containers/json", all=1, filters=json.dumps({"status": ["exited"]}))
    assert not [one for one in left if "line $i" in one["Command"]]
    assert any(line.startswith("Step 3/4 : RUN") or "] RUN" in line for line in said)


def test_an_image_in_which_nothing_runs_is_not_called_usable(
    dockerfile: Path, tmp_path: Path
) -> None:
    dockerfile.write_text("FROM scratch\nCOPY greeting /\n")
    done = build("--file", str(dockerfile), "--image", NAME)
    assert (done.returncode, done.stdout) == (7, "")
    assert "docker cannot be used with it" in done.stderr
    assert recorded(NAME) is None


def test_an_image_that_nobody_recorded_is_named_where_it_is_used(
    docker: Engine, docker_image: str, workspace: Path
) -> None:
    async def notice(image: str) -> str:
        async with await open_sandbox("docker", workspace, Confinement(), image=image) as box:
            return box.identity.notice

    assert docker_image in asyncio.run(notice(docker_image))
    digest = docker.call("GET", f"/images/{docker_image}/json")["Id"]
    record(Image(name=docker_image, digest=digest, source="bookworm", backends=("docker",)))
    assert asyncio.run(notice(docker_image)) == ""
    assert asyncio.run(notice(digest)) == ""


def test_a_foreign_image_is_said_on_stderr(docker_image: str, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "wardian", "sandbox", "shell", "--sandbox", "docker"]
    done = subprocess.run(
        [*command, "--image", docker_image],
        cwd=tmp_path,
        input="1 + 1\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2\n", done.stderr
    assert f"agent: The image {docker_image} " in done.stderr


def test_auto_takes_gvisor_only_where_it_was_seen_to_hold(docker_image: str, gvisor: None) -> None:
    digest = "sha256:" + "0" * 64
    record(Image(name=docker_image, digest=digest, source="bookworm", backends=("docker",)))
    choice = asyncio.run(choose("auto", docker_image))
    assert choice.backend == "bubblewrap"
    assert "not gvisor" in choice.why


def test_by_name_a_backend_is_had_without_a_record(docker_image: str) -> None:
    assert recorded(docker_image) is None
    assert asyncio.run(choose("docker", docker_image)).backend == "docker"
    with pytest.raises(SandboxUnavailable, match="agent sandbox build"):
        asyncio.run(choose("docker", "wardian-none:1"))


def test_auto_takes_gvisor_where_it_was_seen_to_hold(
    docker: Engine, docker_image: str, gvisor: None
) -> None:
    digest = docker.call("GET", f"/images/{docker_image}/json")["Id"]
    record(Image(name=docker_image, digest=digest, source="bookworm", backends=("gvisor",)))
    assert asyncio.run(choose("auto", docker_image)).backend == "gvisor"


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user without a sandbox is not root")
def test_a_backend_that_does_not_hold_is_not_proven() -> None:
    with pytest.raises(SandboxUnavailable, match=r"cannot be relied on.*it runs as root"):
        asyncio.run(prove("none"))
    assert "no-network" in asyncio.run(prove("bubblewrap"))


def shortcomings(backend: str, image: str) -> str:
    """What is said of a backend that does not hold; empty of one that does."""
    try:
        asyncio.run(prove(backend, image))
    except SandboxUnavailable as problem:
        return problem.cause
    return ""


def test_what_runs_in_gvisor_is_not_said_not_to(docker_image: str, gvisor: None) -> None:
    said = shortcomings("gvisor", docker_image)
    assert said == "" or "ls and stat cannot look at files" in said
    assert "programs do not run" not in said


def test_a_package_that_does_not_exist_is_named(tmp_path: Path) -> None:
    if not can_bootstrap():
        pytest.skip("no mmdebstrap")
    with pytest.raises(DockerError) as raised:
        bootstrap(["no-such-package-at-all"], host_suite(), tmp_path / "root.tar", print)
    if os.geteuid() != 0 and NO_MODE in str(raised.value):
        pytest.skip("this user has no way to make an image")
    assert "no-such-package-at-all" in str(raised.value)
    assert not (tmp_path / "root.tar").exists()


def test_without_dockers_command_a_dockerfile_cannot_be_built(
    docker: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DockerError, match=r"apt-get install docker\.io"):
        from_dockerfile(docker, NAME, tmp_path / "Dockerfile", say=print)
    with pytest.raises(DockerError, match="apt-get install mmdebstrap"):
        bootstrap(["python3"], "bookworm", tmp_path / "root.tar", print)
