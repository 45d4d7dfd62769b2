"""Using up the machine: processes, memory, disk, processor time."""

from collections.abc import Callable
from typing import Any

import pytest

from wardian_sandbox import (
    Confinement,
    Ending,
    ExecResult,
    ResourceLimits,
    SupervisedSandbox,
)

Python = Callable[..., list[ExecResult]]
Shell = Callable[..., ExecResult]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))


def test_a_fork_bomb_stays_in_its_box(work: Callable[..., Any]) -> None:
    few = Confinement(limits=ResourceLimits(wall_seconds=2.0, processes=64))

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult, ExecResult]:
        bomb = await box.shell("bomb() { bomb | bomb & }; bomb; sleep 60", few)
        after = await box.shell("ls -d /proc/[0-9]* | wc -l", few)
        return bomb, after, await box.python("'still here'", few)

    bomb, after, python = work(do, few)
    assert bomb.ending is Ending.TIMED_OUT
    assert after.exit_code == 0, after
    assert int(after.output) < 10
    assert python.value == "'still here'"


def test_a_fork_bomb_that_leaves_its_session_is_ended_too(work: Callable[..., Any]) -> None:
    few = Confinement(limits=ResourceLimits(wall_seconds=2.0, processes=64))
    bomb = (
        "import os\nos.setsid() if os.fork() == 0 else None\n"
        "while True:\n    try:\n        if os.fork() == 0: os.setsid()\n    except OSError: pass"
    )

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult]:
        result = await box.shell(f"python3 -c {bomb!r}".replace("\\n", "\n"), few)
        return result, await box.shell("ls -d /proc/[0-9]* | wc -l", few)

    result, after = work(do, few)
    assert result.ending is not Ending.EXITED or result.exit_code != 0
    assert after.exit_code == 0, after
    assert int(after.output) < 10


def test_lower_limits_of_one_call_bind_its_commands_processes_and_leave_python_the_boxs(
    work: Callable[..., Any],
) -> None:
    low = ResourceLimits(wall_seconds=30.0, memory_bytes=512 << 20, file_bytes=1 << 20)
    limits = "[resource.getrlimit(one)[0] for one in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE)]"

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult]:
        within = Confinement(limits=low)
        command = await box.shell("ulimit -v; ulimit -f", within)
        return command, await box.python(f"import resource\n{limits}", within)

    command, python = work(do)
    assert command.output.split() == [str(512 << 10), str(1 << 10)]
    assert python.value == repr([PLENTY.limits.memory_bytes, PLENTY.limits.file_bytes])


@pytest.mark.parametrize("size", ["bytearray(1 << 30)", "[0] * (1 << 28)"])
def test_memory_beyond_the_limit_is_an_error_of_the_cell(python: Python, size: str) -> None:
    small = Confinement(limits=ResourceLimits(wall_seconds=30.0, memory_bytes=512 << 20))
    attack, twin = python(f"kept = 1; len({size})", "len(bytearray(1 << 20)) + kept", within=small)
    assert "MemoryError" in str(attack.error)
    assert twin.value == str((1 << 20) + 1)


def test_scratch_space_is_bounded(shell: Shell) -> None:
    small = Confinement(limits=ResourceLimits(wall_seconds=30.0, scratch_bytes=1 << 20))
    for place in ("/tmp", "/dev/shm", "~"):
        result = shell(f"head -c 2M /dev/zero > {place}/x", within=small)
        assert "No space left" in result.output
        assert shell(f"head -c 900k /dev/zero > {place}/x", within=small).exit_code == 0


def test_processor_time_is_bounded(python: Python) -> None:
    second = Confinement(limits=ResourceLimits(wall_seconds=30.0, cpu_seconds=1))
    kept, spent, after = python("1", "while True: pass", "2", within=second)
    assert kept.value == "1"
    assert (spent.ending, spent.exit_code, spent.state_lost) == (Ending.SIGNALLED, 152, True)
    assert after.value == "2"


def test_a_file_larger_than_the_limit_is_cut_off(shell: Shell) -> None:
    small = Confinement(limits=ResourceLimits(wall_seconds=30.0, file_bytes=1 << 20))
    assert shell("head -c 2M /dev/zero > big", within=small).exit_code != 0
    assert shell("head -c 1M /dev/zero > fits", within=small).exit_code == 0
