"""What a box costs: ready, first and warm `1+1`, a file read, a shell command, reset, close; from a
pool; and file tools and saved states on a workspace of 10,000 files.

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

BOXES, WARM, POOLED, FILES = 12, 100, 8, 10_000
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
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "bubblewrap"))
