"""Jobs: our own code on hostile bytes, in a process that can do nothing else."""

import asyncio
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import Confinement, Egress, SandboxError, SandboxUnavailable, open_sandbox
from wardian_sandbox.types import Job, JobFailure, JobResult

HOSTILE = """
import os, socket, threading, time

STATE = []

def plain(way, value):
    STATE.append(value)
    return {"value": value, "state": STATE, "uid": os.getuid()}

def look(way, paths):
    return {"seen": [path for path in paths if os.path.exists(path)], "env": dict(os.environ)}

def connect(way, port):
    found = []
    for family, address in ((2, ("127.0.0.1", port)), (1, "/run/docker.sock"), (1, "\\0wardian")):
        try:
            socket.socket(family).connect(address)
            found.append(str(address))
        except OSError:
            pass
    return {"reached": found}

def ask(way, request):
    host, port = way.proxy.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(request.encode())
        return {"answer": client.recv(200).decode()}

def descriptors(way):
    return {"open": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                           if int(fd) > 2 and os.path.exists(f"/proc/self/fd/{fd}"))}

def memory(way):
    return len(bytearray(4 << 30))

def spin(way):
    while True: pass

def linger(way):
    if os.fork() == 0:
        time.sleep(60)
    return {}

def neighbours(way):
    # Who was killed is a moment on its way.
    until = time.monotonic() + 10
    known = {"1", str(os.getpid())}
    while others := {pid for pid in os.listdir("/proc") if pid.isdecimal()} - known:
        if time.monotonic() > until: break
        time.sleep(0.01)
    return {"others": sorted(others)}

def hide(way):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            time.sleep(60)
        os._exit(0)
    return {}

def die(way):
    os.kill(os.getpid(), 11)

def flood(way):
    return "a" * (64 << 20)

def chatter(way):
    for _ in range(100): os.write(2, b"x" * 10_000)
    return {"said": 1}

def odd(way):
    return {"text": "\\ud800"}

def kill(way):
    for pid in (1, os.getppid()):
        try: os.kill(pid, 9)
        except OSError: pass
    return {}

def peek(way):
    try:
        open("/proc/1/mem", "rb").close()
        return {"read": True}
    except OSError:
        return {"read": False}

def write(way, paths):
    done = []
    for path in paths:
        try:
            open(path, "w").close()
            done.append(path)
        except OSError:
            pass
    return {"written": done}
"""
LISTED = Egress(hosts=("listed.example",))
Doing = Callable[..., Any]


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "hostile_jobs.py").write_text(HOSTILE)
    return folder


@pytest.fixture
def jobs(modules: Path, tmp_path: Path) -> Doing:
    """`jobs((function, arguments), …, backend=…)`: their results, in one box, one by one."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "notes.txt").write_text("private\n")

    def doing(*orders: tuple[str, dict[str, Any]], backend: str = "bubblewrap") -> list[JobResult]:
        async def scenario() -> list[JobResult]:
            async with await open_sandbox(backend, folder, Confinement()) as box:
                return [await box.job(order(modules, *one), LISTED) for one in orders]

        return asyncio.run(scenario())

    return doing


def order(modules: Path, name: str, arguments: dict[str, Any], seconds: float = 20.0) -> Job:
    return Job(
        function=f"hostile_jobs:{name}",
        arguments=arguments,
        seconds=1.0 if name in ("spin", "linger", "hide") else seconds,
        modules=("hostile_jobs",),
        folders=(str(modules),),
    )


@pytest.mark.parametrize("backend", ["bubblewrap", "none"])
def test_a_job_gives_json_and_leaves_nothing_for_the_next(jobs: Doing, backend: str) -> None:
    first, second = jobs(("plain", {"value": 1}), ("plain", {"value": 2}), backend=backend)
    assert first.value["state"] == [1]
    assert second.value["state"] == [2]


def test_it_sees_neither_the_workspace_nor_the_user_s_files_nor_the_environment(
    jobs: Doing, modules: Path, tmp_path: Path
) -> None:
    paths = [str(tmp_path / "workspace"), str(Path.home() / ".ssh"), "/etc/shadow", "/var", "/opt"]
    (result,) = jobs(("look", {"paths": [*paths, str(modules)]}))
    assert result.value["seen"] == [str(modules)]
    assert set(result.value["env"]) <= {"PATH", "HOME", "LANG", "TERM", "AGENT", "PWD", "LC_CTYPE"}
    (control,) = jobs(("look", {"paths": [str(tmp_path / "workspace")]}), backend="none")
    assert control.value["seen"] == [str(tmp_path / "workspace")]


def test_it_reaches_nothing_but_its_proxy_and_that_lets_only_listed_hosts_pass(
    jobs: Doing,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        direct, other, listed = jobs(
            ("connect", {"port": port}),
            (
                "ask",
                {"request": "GET http://other.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n"},
            ),
            ("ask", {"request": "CONNECT listed.example:443 HTTP/1.0\r\n\r\n"}),
        )
        (control,) = jobs(("connect", {"port": port}), backend="none")
    assert direct.value["reached"] == []
    assert str(("127.0.0.1", port)) in control.value["reached"]
    assert other.value["answer"].startswith("HTTP/1.1 403 This sandbox may not reach other.example")
    assert [(event.host, event.code) for event in other.refused] == [
        ("other.example", "not_listed")
    ]
    assert [event.code for event in listed.refused] == ["unresolved"]


def test_it_holds_no_way_back_but_its_answer(jobs: Doing) -> None:
    (result,) = jobs(("descriptors", {}))
    assert len([name for name in result.value["open"] if name.startswith("socket:")]) == 1


def test_it_can_write_only_where_nobody_looks(jobs: Doing, modules: Path) -> None:
    paths = ["/usr/x", "/etc/x", "/x", str(modules / "x.py"), "/tmp/x"]
    (result,) = jobs(("write", {"paths": paths}))
    assert result.value["written"] == ["/tmp/x"]


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("memory", JobFailure.MEMORY),
        ("spin", JobFailure.SLOW),
        ("die", JobFailure.CRASHED),
        ("flood", JobFailure.CRASHED),
        ("odd", JobFailure.CRASHED),
    ],
)
def test_a_job_that_fails_is_told_from_others_and_the_next_one_works(
    jobs: Doing, name: str, failure: JobFailure
) -> None:
    failed, fine = jobs((name, {}), ("plain", {"value": 1}))
    assert failed.failure is failure
    assert fine.value["value"] == 1


def test_it_can_neither_end_nor_read_what_it_was_forked_from(jobs: Doing) -> None:
    _, peeked, fine = jobs(("kill", {}), ("peek", {}), ("plain", {"value": 1}))
    assert peeked.value == {"read": False}
    assert fine.value["value"] == 1


@pytest.mark.parametrize("leaving", ["linger", "hide"])
def test_what_a_job_leaves_running_is_ended_with_it(jobs: Doing, leaving: str) -> None:
    _, later = jobs((leaving, {}), ("neighbours", {}))
    assert later.value["others"] == []


def test_what_a_library_prints_holds_nothing_up(jobs: Doing) -> None:
    (result,) = jobs(("chatter", {}))
    assert result.value == {"said": 1}


def test_a_process_that_cannot_start_says_why_and_leaves_nothing(
    modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Python is not there, as after an upgrade of the system's."""
    before = len([*Path("/proc/self/fd").iterdir()])
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")

    async def scenario() -> None:
        async with await open_sandbox("bubblewrap", tmp_path, Confinement()) as box:
            await box.job(order(modules, "plain", {"value": 1}), LISTED)

    with pytest.raises(SandboxUnavailable, match="nowhere/python3"):
        asyncio.run(scenario())
    assert len([*Path("/proc/self/fd").iterdir()]) <= before + 1


def test_an_error_in_a_job_is_its_result(jobs: Doing) -> None:
    (result,) = jobs(("look", {"paths": 5}))
    assert result.failure is JobFailure.CRASHED
    assert "TypeError" in result.detail


def test_many_jobs_at_once_each_get_their_own_answer(modules: Path, tmp_path: Path) -> None:
    async def scenario() -> list[JobResult]:
        async with await open_sandbox("bubblewrap", tmp_path, Confinement()) as box:
            return await asyncio.gather(
                *(box.job(order(modules, "plain", {"value": n}), LISTED) for n in range(20))
            )

    assert [result.value["value"] for result in asyncio.run(scenario())] == [*range(20)]


def alive(modules: Path) -> set[str]:
    """Processes for jobs of these modules, wherever in the system."""
    found: set[str] = set()
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"wardian_sandbox.jobs" in words and str(modules).encode() in words:
            found.add(entry.name)
    return found


def test_closing_the_box_ends_its_jobs_and_what_they_left(modules: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        box = await open_sandbox("bubblewrap", tmp_path, Confinement())
        await box.job(order(modules, "linger", {}), LISTED)
        assert alive(modules)
        await box.close()
        with pytest.raises(SandboxError):
            await box.job(order(modules, "plain", {"value": 1}), LISTED)

    asyncio.run(scenario())
    assert not alive(modules)


CONTROLLER = """
import asyncio, sys
from pathlib import Path
from wardian_sandbox import Confinement, Egress, open_sandbox
from wardian_sandbox.types import Job

async def main():
    async with await open_sandbox(sys.argv[3], Path(sys.argv[2]), Confinement()) as box:
        job = Job(function="hostile_jobs:plain", arguments={"value": 1}, seconds=20,
                  modules=("hostile_jobs",), folders=(sys.argv[1],))
        assert (await box.job(job, Egress(hosts=("a.example",)))).value
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("backend", ["bubblewrap", "none"])
def test_jobs_end_with_the_controller_however_it_ends(
    modules: Path, tmp_path: Path, backend: str
) -> None:
    command = [sys.executable, "-P", "-c", CONTROLLER, str(modules), str(tmp_path), backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as controller:
        assert controller.stdout is not None
        assert controller.stdout.readline() == b"ready\n"
        watched: list[int] = []
        for pid in alive(modules):
            with suppress(ProcessLookupError):  # the process of the job, which ends by itself
                watched.append(os.pidfd_open(int(pid)))
        assert watched
        controller.kill()
    for descriptor in watched:
        ended, _, _ = select.select([descriptor], [], [], 20)
        os.close(descriptor)
        assert ended


def test_a_list_of_hosts_that_makes_no_sense_starts_nothing(modules: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with await open_sandbox("bubblewrap", tmp_path, Confinement()) as box:
            await box.job(order(modules, "plain", {"value": 1}), Egress(hosts=("*",)))

    with pytest.raises(SandboxError, match="list of hosts"):
        asyncio.run(scenario())
