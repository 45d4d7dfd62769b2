"""Containers: what they are made of, and what becomes of them when something else fails."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wardian_sandbox
from wardian_sandbox import (
    Confinement,
    ResourceLimits,
    SandboxError,
    SandboxLost,
    SandboxUnavailable,
    SupervisedSandbox,
    open_sandbox,
)
from wardian_sandbox.docker.engine import Engine
from wardian_sandbox.docker.image import Image, record
from wardian_sandbox.docker.leftovers import OWNER, PROJECT, Owner, reap
from wardian_sandbox.docker.problems import DockerError
from wardian_sandbox.leftovers import clear

PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))
NOBODY = 65534
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture(params=["docker", "gvisor"])
def backend(request: pytest.FixtureRequest, prepared: Callable[[str], str]) -> str:
    return prepared(str(request.param))


def mine(engine: Engine) -> list[dict[str, Any]]:
    """Containers of boxes of this process."""
    wanted = json.dumps({"label": [f"{PROJECT}=wardian"]})
    found: list[dict[str, Any]] = engine.call("GET", "/containers/json", all=1, filters=wanted)
    return [one for one in found if one["Labels"][OWNER] == str(Owner.me())]


def inspect(engine: Engine, box: SupervisedSandbox) -> dict[str, Any]:
    name = box.identity.detail["container"]
    found: dict[str, Any] = engine.call("GET", f"/containers/{name}/json")
    return found


def test_a_container_has_no_rights_to_give_away(work: Callable[..., Any], docker: Engine) -> None:
    async def do(box: SupervisedSandbox) -> dict[str, Any]:
        return inspect(docker, box)

    found = work(do)
    host, config = found["HostConfig"], found["Config"]
    assert config["User"].split(":")[0] not in ("", "0", "root")
    assert (host["NetworkMode"], host["IpcMode"]) == ("none", "private")
    assert (host["ReadonlyRootfs"], host["Privileged"], host["CapAdd"]) == (True, False, None)
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges" in host["SecurityOpt"]
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["PidsLimit"] > 0
    assert all("size=" in options for options in host["Tmpfs"].values())
    writable = [mount["Destination"] for mount in found["Mounts"] if mount["RW"]]
    assert writable == ["/workspace"]


def test_nobody_can_connect_to_the_control_socket_any_more(
    work: Callable[..., Any], prepared: Callable[[str], str]
) -> None:
    async def do(box: SupervisedSandbox) -> str:
        return (await box.shell("ls -A /run/wardian-control 2>&1", PLENTY)).output

    assert work(do) in ("", "ls: cannot access '/run/wardian-control': Invalid argument\n") or (
        "No such file" in work(do)
    )


def test_closing_removes_the_container(work: Callable[..., Any], docker: Engine) -> None:
    async def do(box: SupervisedSandbox) -> int:
        return len(mine(docker))

    assert work(do) == 1
    assert mine(docker) == []


@pytest.mark.parametrize(
    ("method", "path", "why"),
    [
        ("POST", "/containers/{}/kill", "killed from outside"),
        ("POST", "/containers/{}/stop?t=1", "stopped from outside"),
        ("DELETE", "/containers/{}?force=1", "from outside"),
    ],
)
def test_a_container_that_somebody_ends_is_a_lost_box_that_says_so(
    work: Callable[..., Any], docker: Engine, method: str, path: str, why: str
) -> None:
    async def do(box: SupervisedSandbox) -> None:
        call = asyncio.create_task(box.shell("sleep 60", PLENTY))
        await box.file("list", {}, PLENTY)
        await docker.ask(method, path.format(box.identity.detail["container"]))
        with pytest.raises(SandboxLost, match=why):
            await call
        with pytest.raises(SandboxLost, match=why):
            await box.python("1", PLENTY)

    work(do)


def test_opening_that_is_cancelled_leaves_no_container(
    backend: str, workspace: Path, docker: Engine, staging: Path
) -> None:
    async def scenario() -> int:
        cancelled = 0
        for looks in range(6):
            opening = asyncio.create_task(open_sandbox(backend, workspace, PLENTY))
            while len(mine(docker)) < 1 and not opening.done():
                await asyncio.sleep(0.001)
            for _ in range(looks):
                await docker.ask("GET", "/version")
            opening.cancel()
            try:
                await (await opening).close()  # it was ready before
            except asyncio.CancelledError:
                cancelled += 1
        return cancelled

    assert asyncio.run(scenario())
    assert mine(docker) == []
    assert list(staging.iterdir()) == []


def test_what_a_dead_process_left_is_removed_and_what_a_live_one_has_is_not(
    docker: Engine, docker_image: str
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    owners = {"dead": Owner(dead.pid, "1", *namespace_and_boot()), "alive": Owner.me()}
    names = {who: f"wardian-test-{who}-{os.getpid()}" for who in owners}
    dead.wait()
    for who, owner in owners.items():
        labels = {PROJECT: "wardian", OWNER: str(owner)}
        body = {"Image": docker_image, "Labels": labels, "Cmd": ["true"]}
        docker.call("POST", "/containers/create", body=body, name=names[who])
    try:
        asyncio.run(reap(docker))
        with pytest.raises(DockerError, match="No such container"):  # others may reap it as well
            docker.call("GET", f"/containers/{names['dead']}/json")
        docker.call("GET", f"/containers/{names['alive']}/json")
    finally:
        docker.call("DELETE", f"/containers/{names['alive']}")


def namespace_and_boot() -> tuple[str, str]:
    me = Owner.me()
    return me.namespace, me.boot


def test_a_container_of_another_process_namespace_is_not_judged() -> None:
    me = Owner.me()
    assert not Owner(me.process, "1", "pid:[1]", me.boot).is_dead
    assert Owner(me.process, "1", me.namespace, me.boot).is_dead
    assert Owner(me.process, me.started, me.namespace, "another boot").is_dead
    assert not Owner.me().is_dead
    assert Owner.parse(str(me)) == me
    assert Owner.parse("nonsense") is None


def test_without_a_daemon_the_remedy_is_said(
    backend: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(SandboxUnavailable, match=r"not running.*systemctl start docker"):
        asyncio.run(open_sandbox(backend, workspace, PLENTY))
    cleared = asyncio.run(clear())
    assert "not running" in cleared.problem


def test_a_daemon_elsewhere_is_refused(
    backend: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with pytest.raises(SandboxUnavailable, match=r"of this machine.*Unset DOCKER_HOST"):
        asyncio.run(open_sandbox(backend, workspace, PLENTY))


def test_a_missing_image_names_the_command_that_makes_it(backend: str, workspace: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="agent sandbox build"):
        asyncio.run(open_sandbox(backend, workspace, PLENTY, image="wardian-none:1"))


def test_an_image_that_was_changed_since_it_was_built_is_refused(
    backend: str,
    workspace: Path,
    docker_image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WARDIAN_HOME", str(tmp_path / "home"))
    record(Image(name=docker_image, digest="sha256:" + "0" * 64, source="bookworm"))
    with pytest.raises(SandboxUnavailable, match="not the one that was built"):
        asyncio.run(open_sandbox(backend, workspace, PLENTY))


def test_an_image_without_python_is_explained(
    backend: str, workspace: Path, docker: Engine, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.tar"
    subprocess.run(["tar", "-cf", empty, "-T", "/dev/null"], check=True)
    with empty.open("rb") as body:
        query = {"fromSrc": "-", "repo": "wardian-test-empty", "tag": "1"}
        list(docker.progress("POST", "/images/create", body, media="application/x-tar", **query))
    try:
        with pytest.raises(SandboxUnavailable, match="agent sandbox"):
            asyncio.run(open_sandbox(backend, workspace, PLENTY, image="wardian-test-empty:1"))
        assert mine(docker) == []
    finally:
        docker.call("DELETE", "/images/wardian-test-empty:1")


def test_hosts_cannot_be_promised_to_gvisor(
    workspace: Path, prepared: Callable[[str], str]
) -> None:
    prepared("gvisor")
    within = Confinement(egress=wardian_sandbox.Egress(hosts=("example.org",)))
    with pytest.raises(SandboxError, match="no way out"):
        asyncio.run(open_sandbox("gvisor", workspace, within))


SCRIPT = """
import asyncio, os, sys
from pathlib import Path
from wardian_sandbox import Confinement, open_sandbox

within = Confinement()

async def main():
    folder = Path(sys.argv[1])
    async with await open_sandbox("docker", folder, within) as box:
        assert box.identity.detail["workspace"] == "mount", box.identity
        assert box.identity.detail["runs_as"] == os.geteuid(), box.identity
        assert (await box.python("20 + 22", within)).value == "42"
        result = await box.shell("id -u; echo new > new.txt; cat /proc/1/environ", within)
        assert result.output.startswith(str(os.geteuid())), result
        assert "Permission denied" in result.output, result
        assert (folder / "new.txt").stat().st_uid == os.geteuid()
        assert (await box.shell("chmod u+s new.txt", within)).exit_code != 0
        assert (folder / "new.txt").stat().st_mode & 0o7777 == 0o644
    print("passed")

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="run by an ordinary user already")
def test_an_ordinary_users_files_stay_that_users(
    docker: Engine, docker_image: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if subprocess.run([SYSTEM_PYTHON, "-c", OLD], check=False).returncode != 0:
        pytest.skip("no Python of 3.11 or later that nobody can run")
    place = Path("/tmp") / f"wardian-nobody-{os.getpid()}"  # where nobody can go
    package = Path(str(wardian_sandbox.__file__)).parent
    ignored = shutil.ignore_patterns("__pycache__")
    try:
        shutil.copytree(package, place / package.name, ignore=ignored)
        for name in ("workspace", "tmp", "home"):
            (place / name).mkdir()
        for path in (place, *place.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        result = subprocess.run(
            [SYSTEM_PYTHON, "-c", SCRIPT, str(place / "workspace")],
            env={
                "PYTHONPATH": str(place),
                "TMPDIR": str(place / "tmp"),
                "PATH": "/usr/bin:/bin",
                "HOME": str(place / "home"),
                "WARDIAN_SANDBOX_IMAGE": docker_image,
            },
            cwd=place,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[docker.path.stat().st_gid],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (result.stdout, result.returncode) == ("passed\n", 0), result.stderr
        assert list((place / "tmp").iterdir()) == []
    finally:
        shutil.rmtree(place)


OLD = "import sys; sys.exit(sys.version_info < (3, 11))"


def test_an_error_of_docker_is_never_a_fresh_box(work: Callable[..., Any], docker: Engine) -> None:
    async def do(box: SupervisedSandbox) -> None:
        await box.python("kept = 1", PLENTY)
        pid = inspect(docker, box)["State"]["Pid"]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(SandboxLost):
            await box.python("kept", PLENTY)
        assert mine(docker)[0]["State"] in ("exited", "running")

    work(do)


def test_an_unknown_answer_keeps_its_words(docker: Engine) -> None:
    with pytest.raises(DockerError, match="No such container") as caught:
        docker.call("GET", "/containers/wardian-none/json")
    assert caught.value.status == 404


def test_a_temporary_folder_with_a_long_name_will_do(
    workspace: Path, tmp_path: Path, prepared: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100) / ("y" * 100)
    long.mkdir(parents=True)
    for folder in (long, *long.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o711)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    asyncio.run(open_and_close(prepared("docker"), workspace))
    assert list(long.iterdir()) == []


def test_no_room_for_what_goes_in_is_said(
    workspace: Path, tmp_path: Path, prepared: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=1777", "none", str(small)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    monkeypatch.setattr(tempfile, "tempdir", str(small))
    try:
        with pytest.raises(SandboxError, match="TMPDIR"):
            asyncio.run(open_and_close(prepared("docker"), workspace))
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


async def open_and_close(backend: str, workspace: Path) -> None:
    async with await open_sandbox(backend, workspace, PLENTY):
        pass
