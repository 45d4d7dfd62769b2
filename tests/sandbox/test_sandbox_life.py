"""Opening, cancelling, losing and closing a box."""

import asyncio
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import (
    Confinement,
    Ending,
    ExecResult,
    ResourceLimits,
    SandboxError,
    SandboxLost,
    SandboxUnavailable,
    SupervisedSandbox,
    open_sandbox,
    probe,
)

Family = Callable[..., list[int]]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))


def test_closing_leaves_no_process_and_no_file(
    work: Callable[..., Any], family: Family, staging: Path
) -> None:
    async def do(box: SupervisedSandbox) -> list[int | None]:
        await box.python("import subprocess; p = subprocess.Popen(['sleep', '60'])", PLENTY)
        return [watched(pid) for pid in family()]

    watches = work(do)
    assert len(watches) >= 2
    assert family() == []
    for watch in watches:  # one without a parent any more is in no family
        has_ended(watch, seconds=0)
    assert list(staging.iterdir()) == []


def test_closing_twice_and_calling_after_is_clear(work: Callable[..., Any]) -> None:
    async def do(box: SupervisedSandbox) -> None:
        await box.close()
        await box.close()
        with pytest.raises(SandboxLost, match="it was closed"):
            await box.python("1", PLENTY)

    work(do)


def test_closing_ends_the_calls_that_run(work: Callable[..., Any]) -> None:
    async def do(box: SupervisedSandbox) -> None:
        call = asyncio.create_task(box.shell("sleep 60", PLENTY))
        await box.file("list", {}, PLENTY)  # by its answer, the call before it has begun
        await box.close()
        with pytest.raises(SandboxLost):
            await call

    work(do)


@pytest.mark.parametrize("kind", ["python", "shell"])
def test_cancelling_kills_what_was_started_and_leaves_the_box_usable(
    work: Callable[..., Any], workspace: Path, kind: str
) -> None:
    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult]:
        await box.python("kept = 1", PLENTY)
        start: Callable[[str], Coroutine[Any, Any, ExecResult]] = (
            (lambda c: box.python(f"import os; os.system({c!r})", PLENTY))
            if kind == "python"
            else (lambda c: box.shell(c, PLENTY))
        )
        call = asyncio.create_task(start("touch begun; sleep 60; touch ended"))
        while (await box.shell("test -e begun", PLENTY)).exit_code != 0:
            pass
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        alive = await box.shell("cat /proc/[0-9]*/cmdline | tr '\\0' ' '", PLENTY)
        return alive, await box.python("1", PLENTY)

    alive, after = work(do)
    assert "touch ended" not in alive.output
    assert (after.value, after.state_lost) == ("1", kind == "python")


def test_a_cell_that_a_dying_interpreter_never_took_up_runs_in_the_next(
    work: Callable[..., Any],
) -> None:
    async def do(box: SupervisedSandbox) -> ExecResult:
        worker = (await box.python("import os; os.getpid()", PLENTY)).value
        stop = f"kill -STOP {worker}; touch stopped"
        wait = "while ! test -e asked; do sleep 0.01; done"
        killing = asyncio.create_task(box.shell(f"{stop}; {wait}; kill -KILL {worker}", PLENTY))
        while (await box.shell("test -e stopped", PLENTY)).exit_code != 0:
            pass
        call = asyncio.create_task(box.python("20 + 22", PLENTY))
        await asyncio.sleep(0)  # the cell is on its way before the file is
        await box.file("write", {"path": "asked", "content": ""}, PLENTY)
        await killing
        return await call

    result = work(do)
    assert (result.ending, result.value) == (Ending.EXITED, "42")
    assert result.state_lost


def test_a_lost_box_says_so_to_every_call(work: Callable[..., Any], family: Family) -> None:
    async def do(box: SupervisedSandbox) -> None:
        call = asyncio.create_task(box.shell("sleep 60", PLENTY))
        await box.file("list", {}, PLENTY)
        for pid in family():
            with suppress(ProcessLookupError):  # it went with one killed before it
                os.kill(pid, signal.SIGKILL)
        with pytest.raises(SandboxLost):
            await call
        with pytest.raises(SandboxLost):
            await box.python("1", PLENTY)

    work(do)


HOST = """
import asyncio, sys
from pathlib import Path
from wardian_sandbox import Confinement, ResourceLimits, open_sandbox

async def main():
    within = Confinement(limits=ResourceLimits(wall_seconds=60.0))
    box = await open_sandbox(sys.argv[1], Path(sys.argv[2]), within)
    for call in (box.shell("(setsid sleep 987654 &); sleep 987654", within),
                 box.python("import time; time.sleep(987654)", within)):
        asyncio.create_task(call)
    while "987654" not in (await box.shell("cat /proc/[0-9]*/cmdline", within)).output:
        pass
    print("running", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_nothing_survives_a_host_that_is_killed(
    backend: str, family: Family, workspace: Path, staging: Path
) -> None:
    command = [sys.executable, "-c", HOST, backend, str(workspace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "running\n"
        watches = [watched(pid) for pid in family(host.pid)]
        assert watches
        host.kill()
    for watch in watches:
        has_ended(watch, seconds=30)
    # The copy a dead process left is removed by the next to open one.
    asyncio.run(open_and_close(backend, workspace))
    assert list(staging.iterdir()) == []


def watched(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None  # one of the short-lived, gone since it was listed


def has_ended(pidfd: int | None, *, seconds: float) -> None:
    if pidfd is not None:
        readable, _, _ = select.select([pidfd], [], [], seconds)
        os.close(pidfd)
        assert readable, "a process is still alive"


async def open_and_close(backend: str, workspace: Path, mode: str = "mount") -> None:
    async with await open_sandbox(backend, workspace, PLENTY, mode=mode):
        pass


def test_many_boxes_run_at_once(backend: str, workspace: Path) -> None:
    async def scenario() -> list[str | None]:
        boxes = [await open_sandbox(backend, workspace, PLENTY) for _ in range(8)]
        results = await asyncio.gather(
            *(box.python(f"{n} * 2", PLENTY) for n, box in enumerate(boxes))
        )
        await asyncio.gather(*(box.close() for box in boxes))
        return [result.value for result in results]

    assert asyncio.run(scenario()) == [str(n * 2) for n in range(8)]


def test_an_unknown_backend_names_the_known_ones(workspace: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="auto, bubblewrap, docker, gvisor, none"):
        asyncio.run(open_and_close("chroot", workspace))


def test_auto_confines(workspace: Path) -> None:
    async def scenario() -> str:
        async with await open_sandbox("auto", workspace, PLENTY) as box:
            return box.identity.backend

    assert asyncio.run(scenario()) == "bubblewrap"


@pytest.mark.parametrize("name", ["missing", "notes.txt"])
def test_a_workspace_that_is_no_folder_is_refused_with_a_remedy(workspace: Path, name: str) -> None:
    with pytest.raises(SandboxError, match="--workspace"):
        asyncio.run(open_and_close("bubblewrap", workspace / name))


def test_an_unknown_mode_is_refused(workspace: Path) -> None:
    with pytest.raises(SandboxError, match="mount or copy"):
        asyncio.run(open_and_close("bubblewrap", workspace, mode="overlay"))


def test_the_probe_starts_a_real_box() -> None:
    findings = {finding.name: finding for finding in asyncio.run(probe())}
    assert findings["a box starts"].ok
    assert "no-network" in findings["a box starts"].detail
    assert all(finding.ok or finding.remedy for finding in findings.values())


def test_the_time_of_the_host_backs_up_that_of_the_supervisor(
    work: Callable[..., Any], family: Family
) -> None:
    """A supervisor that is stopped keeps no time; the host then ends the box."""

    async def do(box: SupervisedSandbox) -> None:
        for pid in family():
            with suppress(ProcessLookupError):  # one of the short-lived
                os.kill(pid, signal.SIGSTOP)
        with pytest.raises(SandboxLost, match="time limit"):
            await box.shell("true", Confinement(limits=ResourceLimits(wall_seconds=0.1)))

    work(do)


def test_a_timeout_is_an_ending(work: Callable[..., Any]) -> None:
    brief = Confinement(limits=ResourceLimits(wall_seconds=0.2))
    result = work(lambda box: box.shell("sleep 60", brief))
    assert result.ending is Ending.TIMED_OUT


@pytest.mark.parametrize("mode", ["mount", "copy"])
def test_a_closed_box_leaves_no_descriptor(backend: str, workspace: Path, mode: str) -> None:
    within = Confinement(protected=(".git/config", ".git/hooks/**", ".envrc"), hidden=("src",))

    async def opened_and_closed() -> int:
        async with await open_sandbox(backend, workspace, within, mode=mode) as box:
            await box.shell("true")
        return len([*Path("/proc/self/fd").iterdir()])

    async def scenario() -> tuple[int, int]:
        await opened_and_closed()  # what is kept for all boxes is there from now on
        return await opened_and_closed(), await opened_and_closed()

    before, after = asyncio.run(scenario())
    assert after <= before


def test_a_box_opens_in_a_program_with_thousands_of_descriptors(work: Callable[..., Any]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1200)]
    try:
        assert work(lambda box: box.shell("echo here")).output == "here\n"
    finally:
        for one in held:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
