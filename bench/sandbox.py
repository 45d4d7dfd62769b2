"""What a box costs: ready, first and warm `1+1`, a file read, a shell command, close; from a pool.

    python bench/sandbox.py [bubblewrap|docker|gvisor|none]

The floor is a bare pipe: a Python child that evaluates what it reads from stdin, asked the same
way from the same event loop.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from wardian_sandbox import Confinement, SandboxPool, open_sandbox

BOXES, WARM, POOLED = 12, 100, 8
ECHO = "import sys\nfor line in sys.stdin: print(eval(line), flush=True)"

T = TypeVar("T")

figures_ms: dict[str, list[float]] = defaultdict(list)


async def timed(name: str, work: Awaitable[T]) -> T:
    began = time.perf_counter()
    result = await work
    figures_ms[name].append((time.perf_counter() - began) * 1e3)
    return result


async def bare_pipe() -> None:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ECHO, stdin=pipe, stdout=pipe
    )
    assert child.stdin is not None
    assert child.stdout is not None
    for _ in range(WARM * 5):
        began = time.perf_counter()
        child.stdin.write(b"1+1\n")
        await child.stdout.readline()
        figures_ms["bare pipe 1+1"].append((time.perf_counter() - began) * 1e3)
    child.stdin.close()
    await child.wait()


async def one_box(backend: str, workspace: Path) -> None:
    within = Confinement()
    box = await timed("ready", open_sandbox(backend, workspace, within))
    result = await timed("first 1+1", box.python("1+1", within))
    assert result.value == "2", result
    for _ in range(WARM):
        await timed("warm 1+1", box.python("1+1", within))
    for _ in range(10):
        await timed("read a file", box.file("read", {"path": "a.txt"}, within))
        await timed("shell: true", box.shell("true", within))
    await timed("close", box.close())


async def pooled(backend: str, workspace: Path) -> None:
    """Ready is timed with nothing else going on; the next box is opened after that."""
    within = Confinement()
    async with SandboxPool(backend, workspace, within) as pool:
        for _ in range(POOLED):
            await pool.warm()
            box = await timed("from a pool", pool.open())
            await timed("pooled, 1+1", box.python("1+1", within))
            await box.close()


async def main(backend: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.txt").write_text("one\n")
        for _ in range(BOXES):
            await one_box(backend, Path(folder))
        await pooled(backend, Path(folder))
    await bare_pipe()
    print(f"{backend}, milliseconds")
    print(f"{'':14} {'median':>8} {'min':>8}")
    for name, values in figures_ms.items():
        print(f"{name:14} {statistics.median(values):8.2f} {min(values):8.2f}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "bubblewrap"))
