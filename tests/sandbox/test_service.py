"""A program in a box of its own: what it sees, and how it ends."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox.diagnosis import find_bwrap, user_namespace_problem
from wardian_sandbox.errors import SandboxError, SandboxUnavailable
from wardian_sandbox.program import Program
from wardian_sandbox.service import Service, open_service
from wardian_sandbox.types import Confinement, ResourceLimits

BACKENDS = ["bubblewrap", "none"]


@pytest.fixture(autouse=True)
def needs_bubblewrap() -> None:
    try:
        find_bwrap()
    except SandboxError as error:
        pytest.skip(str(error))
    if problem := user_namespace_problem():
        pytest.skip(problem[0])


def with_service(
    program: Program, work: Callable[[Service], Awaitable[Any]], backend: str = "bubblewrap"
) -> Any:
    async def run() -> Any:
        service = await open_service(program, backend=backend)
        try:
            return await work(service)
        finally:
            await service.close()

    return asyncio.run(run())


async def everything(service: Service) -> str:
    lines: list[bytes] = []
    while line := await service.stdout.line():
        lines.append(line)
    return b"".join(lines).decode()


def shell(command: str, **more: Any) -> Program:
    return Program(command=("sh", "-c", command), **more)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_written_comes_back_until_its_input_ends(backend: str) -> None:
    async def work(service: Service) -> tuple[bytes, int | None]:
        await service.stdin.write(b"hello\n")
        line = await service.stdout.line()
        service.stdin.end()
        return line, (await service.ended).exit_code

    assert with_service(Program(command=("cat",)), work, backend) == (b"hello\n", 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_its_exit_code_and_its_last_words_are_told(backend: str) -> None:
    async def work(service: Service) -> tuple[int | None, str]:
        end = await service.ended
        await service.stderr.over(5)
        return end.exit_code, service.stderr.text

    assert with_service(shell("echo oops >&2; exit 3"), work, backend) == (3, "oops")
    code, words = with_service(Program(command=("no-such-program",)), work, backend)
    assert code == 127
    assert words.startswith("no-such-program: ")


def test_it_sees_what_is_named_and_cannot_write_it(tmp_path: Path) -> None:
    shown, hidden = tmp_path / "shown", tmp_path / "hidden"
    for folder in (shown, hidden):
        folder.mkdir(mode=0o700)
        (folder / "file").write_text("content\n")
    command = f"cat {shown}/file; ls {hidden}; touch {shown}/new; echo $TOKEN; ls"
    program = shell(command, readable=(shown,), environment={"TOKEN": "t0k"})
    printed = with_service(program, everything)
    assert printed == "content\nt0k\n"
    assert not (shown / "new").exists()


def command_lines() -> list[bytes]:
    """Of the processes of this machine."""
    found: list[bytes] = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(place.read_bytes())
    return found


def test_its_variables_are_on_no_command_line(tmp_path: Path) -> None:
    async def work(service: Service) -> list[bytes]:
        await service.stdout.line()
        return command_lines()

    program = shell("echo ready; cat", environment={"TOKEN": "never-on-a-command-line"})
    assert not [line for line in with_service(program, work) if b"never-on-a" in line]


def test_a_workspace_that_is_only_read_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    program = shell("cat a.txt; echo two > a.txt; touch b.txt", workspace=tmp_path)
    assert with_service(program, everything) == "one\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt"]


def test_protected_paths_of_a_workspace_it_may_write_stay(tmp_path: Path) -> None:
    (tmp_path / "keep").write_text("kept\n")
    within = Confinement(protected=("keep", "absent"))
    command = "echo x > keep; echo x > absent; echo x > free; true"
    with_service(shell(command, workspace=tmp_path, within=within), everything)
    assert (tmp_path / "keep").read_text() == "kept\n"
    assert not (tmp_path / "absent").exists()
    assert (tmp_path / "free").read_text() == "x\n"


def test_it_has_no_network_without_hosts() -> None:
    printed = with_service(shell("cat /proc/net/dev | tail -n +3 | cut -d: -f1"), everything)
    assert printed.split() == ["lo"]


def test_it_is_ended_for_memory_beyond_its_limit() -> None:
    within = Confinement(writable=(), limits=ResourceLimits(memory_bytes=200 << 20))
    code = "x = bytearray(400 << 20); import time; time.sleep(60)"
    program = Program(command=("/usr/bin/python3", "-c", code), within=within)

    async def work(service: Service) -> str:
        end = await service.ended
        return f"{end.exit_code} {end.why}"

    assert not with_service(program, work).startswith("0 ")


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_it_leaves_running_ends_with_it(backend: str, tmp_path: Path) -> None:
    mark = f"9753.{time.time_ns()}"  # of this test alone: others may run on this machine
    with_service(shell(f"setsid sleep {mark} & echo started; exit 0"), everything, backend)
    assert f"sleep\0{mark}\0".encode() not in command_lines()


def test_what_is_to_be_seen_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="does not exist"):
        with_service(Program(command=("cat",), readable=(tmp_path / "absent",)), everything)
    with pytest.raises(SandboxUnavailable, match="no sandbox 'chroot'"):
        with_service(Program(command=("cat",)), everything, "chroot")
