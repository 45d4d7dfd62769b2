"""The process that a box lives in, as the host sees it."""

import asyncio
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Protocol

INSIDE_SECONDS = 5.0
"""For what was inside to be gone after it; longer only where the kernel cannot end a process."""


class BoxProcess(Protocol):
    """What a box lives in, as its backend keeps it."""

    def kill(self) -> None: ...

    async def ended(self) -> None:
        """Wait until it is gone, with all that was in it."""
        ...

    async def cause(self) -> str:
        """Why it ended, where nobody here ended it; empty when that is not known."""
        ...

    def release(self) -> None:
        """Let go of what was held to watch it; once it is gone."""
        ...


class Process:
    """A process of this host that a box lives in, watched without a thread."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._inside: list[int] = []
        """pidfds: the kernel ends a namespace a moment after the process that made it."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        if not self.has_ended:
            self._inside += _children(self._process.pid)
        self._process.kill()

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    async def ended(self) -> None:
        """Wait until it is gone, with all that was in it."""
        if not self.has_ended:
            try:
                watch = os.pidfd_open(self._process.pid)
            except (OSError, AttributeError):  # an old kernel, or no Linux
                await asyncio.to_thread(self._process.wait)
            else:
                await _end_of(watch)
                self._process.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(INSIDE_SECONDS):
                while self._inside:
                    await _end_of(self._inside.pop())

    async def cause(self) -> str:
        return ""

    def complaint(self) -> str:
        """What it wrote to its standard error; once it is gone."""
        stream = self._process.stderr
        return "" if stream is None else stream.read(4000).decode(errors="replace").strip()

    def release(self) -> None:
        if self._process.stderr is not None:
            self._process.stderr.close()
        while self._inside:
            os.close(self._inside.pop())


def _children(pid: int) -> list[int]:
    """pidfds of what a process started; in a box that is its first, and all others end with it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [os.pidfd_open(int(child)) for child in children]
    except (OSError, AttributeError):  # a kernel that has neither the list nor pidfds
        return []


async def _end_of(process: int) -> None:
    """Wait until the process of a pidfd is gone, and close it."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    try:
        loop.add_reader(process, done.set)
        await done.wait()
    finally:
        loop.remove_reader(process)
        os.close(process)
