"""Bombs: each uses up one thing, and is told which limit it ran into.

In a box whose control group the kernel watches, in a container, and in a box of a user who may make
no control group, which the host watches. All of them are finite, and end by themselves, unharmed,
where nothing limits them: that is the control.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import wardian_sandbox
from wardian_sandbox import (
    Confinement,
    Ending,
    ExecResult,
    Limit,
    ResourceLimits,
    SupervisedSandbox,
    open_sandbox,
)

MIB = 1 << 20
SMALL = ResourceLimits(
    wall_seconds=30.0,
    cpu_seconds=3,
    memory_bytes=192 * MIB,
    processes=40,
    file_bytes=8 * MIB,
    scratch_bytes=48 * MIB,
    workspace_bytes=48 * MIB,
    workspace_files=2000,
    output_bytes=1024,
)
HUGE = ResourceLimits(wall_seconds=120.0, output_bytes=MIB)
"""For controls: beyond what any bomb does."""
PLENTY = Confinement(limits=HUGE)
WAIT = "import time; time.sleep(2)"

BOMBS: dict[str, tuple[Limit, str, str]] = {
    # name: (the limit it hits, python or shell, code that ends with DONE)
    "memory of many processes": (
        Limit.MEMORY,
        "shell",
        (
            f"for i in 1 2 3 4 5 6 7 8; do python3 -c 'x = bytearray(60 << 20); {WAIT}' & done; "
            "wait; echo DONE"
        ),
    ),
    "memfd": (
        Limit.MEMORY,
        "python",
        (
            "import os\nkept = []\nfor _ in range(60):\n    kept.append(os.memfd_create('bomb'))\n"
            f"    for _ in range(7): os.write(kept[-1], bytes(1 << 20))\n{WAIT}\nprint('DONE')"
        ),
    ),
    "memfd of a child": (
        Limit.MEMORY,
        "python",
        (
            "import os\nkept = []\nif os.fork() == 0:\n    for _ in range(60):\n"
            "        kept.append(os.memfd_create('bomb'))\n"
            "        for _ in range(7): os.write(kept[-1], bytes(1 << 20))\n"
            f"    {WAIT}\n    os._exit(0)\nos.wait()\nprint('DONE')"
        ),
    ),
    "shared anonymous memory": (
        Limit.MEMORY,
        "python",
        (
            "import mmap, os\nfor _ in range(6):\n    if os.fork() == 0:\n"
            "        shared = mmap.mmap(-1, 60 << 20)\n"
            f"        shared.write(bytes(60 << 20))\n        {WAIT}\n        os._exit(0)\n"
            "for _ in range(6): os.wait()\nprint('DONE')"
        ),
    ),
    "private files and memory": (
        Limit.MEMORY,
        "shell",
        (
            "for n in 1 2 3 4 5 6; do head -c 7M /dev/zero > /tmp/bomb.$n; "
            "cp /tmp/bomb.$n /dev/shm/; done; "
            f"for i in 1 2 3; do python3 -c 'x = bytearray(80 << 20); {WAIT}' & done; wait; "
            "rm -f /tmp/bomb.* /dev/shm/bomb.*; echo DONE"
        ),
    ),
    "processes": (
        Limit.PROCESSES,
        "shell",
        "for i in $(seq 120); do sleep 1 & done 2>/dev/null; wait; echo DONE",
    ),
    "threads": (
        Limit.PROCESSES,
        "python",
        (
            "import threading, time\nthreading.stack_size(65536)\nmade = []\n"
            "for _ in range(120):\n"
            "    try:\n        one = threading.Thread(target=time.sleep, args=(1,))\n"
            "        one.start()\n        made.append(one)\n"
            "    except RuntimeError: pass\nfor one in made: one.join()\nprint('DONE')"
        ),
    ),
    "many files": (
        Limit.WORKSPACE,
        "shell",
        (
            "for i in $(seq 60); do head -c 4M /dev/zero > bomb.$i; sleep 0.05; done; "
            "rm bomb.*; echo DONE"
        ),
    ),
    "deleted files": (
        Limit.WORKSPACE,
        "python",
        (
            "import os, time\nkept = []\nfor _ in range(60):\n    kept.append(open('bomb', 'wb'))\n"
            "    os.unlink('bomb')\n    kept[-1].write(bytes(4 << 20))\n    time.sleep(0.05)\n"
            "for file in kept: file.close()\nprint('DONE')"
        ),
    ),
    "empty files": (
        Limit.WORKSPACE,
        "python",
        (
            "import os, time\nfor n in range(40):\n    for k in range(200):\n"
            "        os.close(os.open(f'bomb.{n}.{k}', os.O_CREAT))\n    time.sleep(0.05)\n"
            "for n in range(40):\n    for k in range(200): os.unlink(f'bomb.{n}.{k}')\n"
            "print('DONE')"
        ),
    ),
    "processor time of many": (
        Limit.CPU,
        "shell",
        (
            "for i in 1 2 3 4; do "
            "python3 -c 'import time\nwhile time.process_time() < 2: pass' & done; wait; echo DONE"
        ),
    ),
    "processor time of one": (
        Limit.CPU,
        "shell",
        "python3 -c 'import time\nwhile time.process_time() < 8: pass' && echo DONE",
    ),
    "endless output": (Limit.OUTPUT, "shell", "yes | head -c 20M && echo DONE"),
    "one long line": (
        Limit.OUTPUT,
        "shell",
        "head -c 20M /dev/zero | tr '\\0' x && echo DONE",
    ),
    "a large file": (
        Limit.FILE,
        "shell",
        "head -c 20M /dev/zero > bomb && rm bomb && echo DONE",
    ),
}


@pytest.fixture(params=["bubblewrap", "docker"])
def backend(request: pytest.FixtureRequest, prepared: Callable[[str], str]) -> str:
    return prepared(str(request.param))


async def explode(box: SupervisedSandbox, name: str, within: Confinement) -> ExecResult:
    _, kind, code = BOMBS[name]
    return await (box.python if kind == "python" else box.shell)(code, within)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_told_of_its_limit_and_leaves_the_box_usable(
    work: Callable[..., Any], family: Callable[..., list[int]], name: str
) -> None:
    within = Confinement(limits=SMALL)

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult]:
        return await explode(box, name, within), await box.shell("echo usable", within)

    bomb, after = work(do, within)
    assert BOMBS[name][0] in bomb.limits_hit, bomb
    assert (after.output, after.limits_hit) == ("usable\n", ())
    assert family() == []


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_unharmed_where_nothing_limits_it(plain_folder: Path, name: str) -> None:
    within = Confinement(limits=HUGE)

    async def scenario() -> ExecResult:
        async with await open_sandbox("none", plain_folder, within) as box:
            return await explode(box, name, within)

    result = asyncio.run(scenario())
    assert result.ending is Ending.EXITED, result
    assert (result.exit_code, result.limits_hit) == (0, ())
    assert result.output.endswith("DONE\n")


NOBODY = 65534
PYTHON = "/usr/bin/python3"
WATCHED = """
import asyncio, json, os, sys
from pathlib import Path
from wardian_sandbox import Confinement, ResourceLimits, SandboxError, open_sandbox

async def explode(kind, code, within):
    async with await open_sandbox("bubblewrap", Path("workspace"), within) as box:
        keeper = box.identity.limits["memory"]
        bomb = await (box.python if kind == "python" else box.shell)(code, within)
        after = await box.shell("rm -rf bomb*; echo usable", within)
    return [keeper, list(bomb.limits_hit), after.output]

async def left_behind(code, within):
    async with await open_sandbox("bubblewrap", Path("workspace"), within) as box:
        called = await box.python(code, within)
        for _ in range(200):
            if box.is_lost:
                break
            await asyncio.sleep(0.1)
        try:
            return [called.ending, (await box.python("1", within)).value]
        except SandboxError as problem:
            return [called.ending, str(problem)]

def main():
    asked = json.loads(sys.stdin.read())
    within = Confinement(limits=ResourceLimits(**asked["limits"]))
    if "left" in asked:
        print(json.dumps(["left", "", *asyncio.run(left_behind(asked["left"], within))]))
    for name, (kind, code) in asked["bombs"].items():
        print(json.dumps([name, *asyncio.run(explode(kind, code, within))]), flush=True)

main()
"""


LEFT_BEHIND = """
import os, threading, time
def eat():
    time.sleep(0.3)
    for _ in range(6):
        if os.fork() == 0:
            eaten = b"x" * (60 << 20)
            time.sleep(20)
            os._exit(0)
threading.Thread(target=eat).start()
"""


@pytest.fixture(scope="module")
def watched() -> dict[str, tuple[str, Any, str]]:
    """Bomb → what keeps memory, the limits it hit, what came after; for a user without a group.

    Under `left` how the cell ended, and what the next one gave.
    """
    bombs = {name: (kind, code) for name, (_, kind, code) in BOMBS.items()}
    asked = json.dumps({"limits": asdict(SMALL), "bombs": bombs, "left": LEFT_BEHIND})
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="wardian-nobody-", dir="/tmp") as folder:
        package = Path(str(wardian_sandbox.__file__)).parent
        shutil.copytree(package, Path(folder, package.name))
        for place in ("workspace", "tmp"):
            Path(folder, place).mkdir()
        if is_root:
            for path in (Path(folder), *Path(folder).rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        result = subprocess.run(
            [PYTHON if is_root else sys.executable, "-c", WATCHED],
            input=asked,
            env={"PYTHONPATH": folder, "TMPDIR": f"{folder}/tmp", "PATH": "/usr/bin:/bin"},
            cwd=folder,
            user=NOBODY if is_root else None,
            group=NOBODY if is_root else None,
            extra_groups=[] if is_root else None,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        answers = (json.loads(line) for line in result.stdout.splitlines())
        return {name: (keeper, hit, after) for name, keeper, hit, after in answers}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_of_a_user_without_a_group_is_watched(
    watched: dict[str, tuple[str, Any, str]], name: str
) -> None:
    keeper, hit, after = watched[name]
    if "cgroup" in keeper and os.geteuid() != 0:
        pytest.skip("this user may make a control group")
    assert "host watcher" in keeper
    assert BOMBS[name][0] in hit
    assert after == "usable\n"


def test_what_a_cell_leaves_behind_to_eat_memory_ends_the_box(
    watched: dict[str, tuple[str, Any, str]],
) -> None:
    _, ending, said = watched["left"]
    assert ending == Ending.EXITED
    assert said.startswith("The sandbox is gone: it used more memory than it may (192 MiB)")


STUBBORN = (
    "trap '' TERM INT HUP PIPE; "
    "(setsid sh -c 'trap \"\" TERM; (sleep 987654 &) ; sleep 987654' >/dev/null 2>&1 &); "
    "python3 -c 'import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(987654)\n'; "
    "echo begun; sleep 987654"
)
LOOK = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"


def test_what_ignores_signals_and_leaves_its_session_is_gone_after_its_call(
    work: Callable[..., Any], family: Callable[..., list[int]]
) -> None:
    brief = Confinement(limits=ResourceLimits(wall_seconds=1.5))

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult, ExecResult]:
        stubborn = asyncio.create_task(box.shell(STUBBORN, brief))
        alive = await box.shell(LOOK, brief)
        while "987654" not in alive.output and not stubborn.done():
            alive = await box.shell(LOOK, brief)
        return await stubborn, alive, await box.shell(LOOK, brief)

    stubborn, alive, after = work(do, brief)
    assert stubborn.ending is Ending.TIMED_OUT
    assert stubborn.limits_hit == (Limit.WALL,)
    assert "987654" in alive.output
    assert "987654" not in after.output
    assert family() == []


def test_what_runs_in_the_box_goes_before_its_supervisor_when_memory_runs_out(
    work: Callable[..., Any], family: Callable[..., list[int]]
) -> None:
    score = "open('/proc/self/oom_score_adj').read()"

    async def do(box: SupervisedSandbox) -> tuple[ExecResult, ExecResult, list[int]]:
        cell = await box.python(f"int({score})", PLENTY)
        command = await box.shell("cat /proc/self/oom_score_adj", PLENTY)
        scores = [int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in family()]
        return cell, command, scores

    cell, command, scores = work(do)
    assert (cell.value, command.output) == ("1000", "1000\n")
    # The worker alone is left; the others are the supervisor, and bwrap or the container's shim.
    assert scores.count(1000) == 1
