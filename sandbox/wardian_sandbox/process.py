"""The process that a box lives in, as the host sees it."""

import asyncio
import os
import subprocess
from typing import Protocol


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

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        self._process.kill()

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    async def ended(self) -> None:
        """Wait until it is gone."""
        if self._process.poll() is not None:
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        try:
            watch = os.pidfd_open(self._process.pid)
        except (OSError, AttributeError):  # an old kernel, or no Linux
            await asyncio.to_thread(self._process.wait)
            return
        try:
            loop.add_reader(watch, done.set)
            await done.wait()
        finally:
            loop.remove_reader(watch)
            os.close(watch)
        self._process.wait()

    async def cause(self) -> str:
        return ""

    def complaint(self) -> str:
        """What it wrote to its standard error; once it is gone."""
        stream = self._process.stderr
        return "" if stream is None else stream.read(4000).decode(errors="replace").strip()

    def release(self) -> None:
        if self._process.stderr is not None:
            self._process.stderr.close()
