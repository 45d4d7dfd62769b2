"""What a box costs: ready, first and warm `1+1`, a file read, a shell command, reset, close; from a
pool; and file tools and saved states on a workspace of 10,000 files.

    python bench/sandbox.py [bubblewrap|docker|gvisor|none]
    python bench/sandbox.py bubblewrap 100        # so many at once, and their memory

The floor is a bare pipe: a Python child that evaluates what it reads from stdin, asked the same
way from the same event loop.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from wardian_sandbox import Confinement, SandboxPool, open_sandbox
from wardian_sandbox.usage import tree

BOXES, WARM, POOLED, FILES = 12, 100, 8, 10_000
MIB = 1 << 20
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
        await timed("reset", box.reset())
        await timed("1+1 after reset", box.python("1+1", within))
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


async def many_files(backend: str, workspace: Path) -> None:
    """File tools, and states of the workspace, on FILES files."""
    for number in range(FILES):
        folder = workspace / f"d{number % 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number}.txt").write_text(f"line of file {number}\n" * 20)
    within = Confinement()
    name = f"{FILES:,} files: "
    box = await timed(f"{name}ready", open_sandbox(backend, workspace, within))
    deep = {"pattern": "**/*.txt", "max_entries": FILES}
    for round_ in range(3):
        await timed(f"{name}read", box.file("read", {"path": "d1/f1.txt"}, within))
        await timed(f"{name}write", box.file("write", {"path": "new", "content": "x"}, within))
        await timed(f"{name}list", box.file("list", deep, within))
        await timed(f"{name}search", box.file("search", {"pattern": "file 777"}, within))
        await timed(f"{name}shell: true", box.shell("true", within))
        await timed(f"{name}diff", box.diff())
        state = await timed(f"{name}save {'anew' if round_ else 'first'}", box.checkpoint())
        await box.shell("echo changed > d2/f2.txt", within)
        await timed(f"{name}restore", box.restore(state))
    await timed(f"{name}fork", box.fork(state, workspace.parent / "fork"))
    await timed(f"{name}close", box.close())


async def at_once(backend: str, boxes: int) -> None:
    """So many boxes side by side: to open them, a cell in each at the same time, their memory."""
    within = Confinement()
    with tempfile.TemporaryDirectory() as folder:
        free, before = available_bytes(), {*tree(os.getpid())}
        began = time.perf_counter()
        opened = [await open_sandbox(backend, Path(folder), within) for _ in range(boxes)]
        ready = time.perf_counter()
        cells = [box.python(f"{number} + 1", within) for number, box in enumerate(opened)]
        values = [result.value for result in await asyncio.gather(*cells)]
        assert values == [str(number + 1) for number in range(boxes)]
        answered = time.perf_counter()
        theirs = [pid for pid in tree(os.getpid()) if pid not in before]
        share = sum(proportional_bytes(pid) for pid in theirs) / boxes / MIB
        taken = (free - available_bytes()) / boxes / MIB
        await asyncio.gather(*(box.close() for box in opened))
        closed = time.perf_counter()
    print(f"{boxes} boxes of {backend} at once, each with its first cell run")
    print(f"opened in       {ready - began:8.2f} s, one after another")
    print(f"a cell in each  {answered - ready:8.2f} s")
    print(f"closed in       {closed - answered:8.2f} s")
    print(f"memory a box    {share:8.2f} MiB, shared pages in proportion (PSS)")
    print(f"                {taken:8.2f} MiB less available on the machine, kernel included")


def proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def available_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))


async def main(backend: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.txt").write_text("one\n")
        for _ in range(BOXES):
            await one_box(backend, Path(folder))
        await pooled(backend, Path(folder))
        (Path(folder) / "many").mkdir()
        await many_files(backend, Path(folder) / "many")
    await bare_pipe()
    print(f"{backend}, milliseconds")
    print(f"{'':26} {'median':>8} {'min':>8}")
    for name, values in figures_ms.items():
        print(f"{name:26} {statistics.median(values):8.2f} {min(values):8.2f}")


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "bubblewrap"
    asyncio.run(at_once(chosen, int(sys.argv[2])) if len(sys.argv) > 2 else main(chosen))
