"""A Docker daemon that stops, comes back, or has no room left: one of the tests' own, apart."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import (
    Confinement,
    ResourceLimits,
    SandboxLost,
    SandboxPool,
    SandboxUnavailable,
    open_sandbox,
)
from wardian_sandbox.docker.build import from_tarball

PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))
ROOM_BYTES = 420 << 20


@pytest.fixture(scope="module")
def small_disk(dockerd: Any) -> Iterator[Path]:
    """An empty folder that is a file system of its own."""
    folder = Path("/tmp") / f"wardian-dockerd-{os.getpid()}"  # its sockets need short paths
    data = folder / "data"
    data.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "none", str(data)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        shutil.rmtree(folder)
        pytest.skip("no file system can be mounted here")
    yield data
    subprocess.run(["umount", "--lazy", str(data)], check=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def own(dockerd: Any, small_disk: Path, docker_tarball: Path, docker_image: str) -> Iterator[Any]:
    """A daemon with everything of its own, and the image of the tests."""
    folder = small_disk.parent
    places = {"data-root": str(small_disk), "exec-root": str(folder / "exec")}
    daemon = dockerd(folder, folder / "docker.sock", places)
    daemon.start()
    from_tarball(daemon.engine, docker_image, docker_tarball, "test", (), say=print)
    yield daemon
    daemon.stop()


@pytest.fixture
def daemon(own: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same, running, and the one that boxes are opened with."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{own.engine.path}")
    if not own.is_running:
        own.start()
    return own


def test_a_daemon_that_stops_takes_the_box_and_the_call_says_so(
    daemon: Any, workspace: Path
) -> None:
    async def scenario() -> None:
        async with await open_sandbox("docker", workspace, PLENTY) as box:
            await box.shell("echo kept > made.txt", PLENTY)
            call = asyncio.create_task(box.shell("sleep 60", PLENTY))
            await box.file("list", {}, PLENTY)
            await asyncio.to_thread(daemon.stop)
            with pytest.raises(SandboxLost, match=r"daemon stopped|(killed|stopped) from outside"):
                await call
            with pytest.raises(SandboxLost):
                await box.python("1", PLENTY)
            with pytest.raises(SandboxUnavailable, match="systemctl start docker"):
                await open_sandbox("docker", workspace, PLENTY)

    asyncio.run(scenario())
    assert (workspace / "made.txt").read_text() == "kept\n"


def test_a_daemon_that_comes_back_serves_new_boxes_and_not_the_old_one(
    daemon: Any, workspace: Path
) -> None:
    async def scenario() -> str | None:
        box = await open_sandbox("docker", workspace, PLENTY)
        await box.python("kept = 1", PLENTY)
        await asyncio.to_thread(daemon.stop)
        await asyncio.to_thread(daemon.start)
        with pytest.raises(SandboxLost):
            await box.python("kept", PLENTY)
        await box.close()
        async with await open_sandbox("docker", workspace, PLENTY) as another:
            result = await another.python("'kept' in globals()", PLENTY)
        return result.value

    assert asyncio.run(scenario()) == "False"
    assert daemon.engine.call("GET", "/containers/json", all=1) == []


def test_a_pool_replaces_boxes_that_a_restart_ended(daemon: Any, workspace: Path) -> None:
    async def scenario() -> str | None:
        async with SandboxPool("docker", workspace, PLENTY) as pool:
            await pool.warm()
            await asyncio.to_thread(daemon.stop)
            await asyncio.to_thread(daemon.start)
            async with await pool.open() as box:
                return (await box.python("20 + 22", PLENTY)).value

    assert asyncio.run(scenario()) == "42"


def test_a_full_disk_is_named_with_its_remedy(
    daemon: Any, small_disk: Path, workspace: Path
) -> None:
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        while True:
            try:
                os.write(file.fileno(), bytes(1 << 20))
            except OSError:
                break
    try:
        with pytest.raises(SandboxUnavailable, match=r"no disk space.*agent sandbox gc"):
            asyncio.run(open_sandbox("docker", workspace, PLENTY))
    finally:
        filler.unlink()

    async def again() -> str | None:
        async with await open_sandbox("docker", workspace, PLENTY) as box:
            return (await box.python("20 + 22", PLENTY)).value

    assert asyncio.run(again()) == "42"
