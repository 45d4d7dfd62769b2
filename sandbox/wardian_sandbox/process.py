"""The process that a box lives in, as the host sees it."""

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from typing import Protocol

from wardian_sandbox.cgroup import children_of
from wardian_sandbox.errors import last_line
from wardian_sandbox.usage import tree

MAX_COMPLAINT_BYTES = 64 << 10
"""More than a pipe holds, so its last line is in it."""
INSIDE_SECONDS = 5.0
"""For what was inside to be gone after it; longer only where the kernel cannot end a process."""
SWEEP_SECONDS = 5.0
"""For a supervisor that no namespace holds together to end what it started, once we are gone."""


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
        for process in self._inside:
            # One that has not come to asking to end with its parent would wait for it for ever.
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, signal.SIGKILL)

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
        if self._inside:
            ends = [asyncio.create_task(_end_of(process)) for process in self._inside]
            self._inside.clear()
            try:
                # Not asyncio.timeout: where the caller was cancelled, older Pythons cancel it anew.
                await asyncio.wait(ends, timeout=INSIDE_SECONDS)
            finally:
                for end in ends:
                    end.cancel()

    async def cause(self) -> str:
        return ""

    def complaint(self) -> str:
        """The last line of what it wrote to its standard error; once it is gone."""
        stream = self._process.stderr
        if stream is None:
            return ""
        return last_line(stream.read(MAX_COMPLAINT_BYTES).decode(errors="replace"))

    def release(self) -> None:
        if self._process.stderr is not None:
            self._process.stderr.close()
        while self._inside:
            os.close(self._inside.pop())


class SweepingProcess:
    """A supervisor without a namespace: it alone finds all that it started, and ends it when its
    channel is closed. Satisfies `BoxProcess`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._last: asyncio.TimerHandle | None = None

    def kill(self) -> None:
        """Have it end by itself, which it does once its channel is closed; by force if not."""
        if self._last is None and not self._process.has_ended:
            loop = asyncio.get_running_loop()
            self._last = loop.call_later(SWEEP_SECONDS, self._kill_all)

    def _kill_all(self) -> None:
        if self._process.has_ended:  # somebody else may have its number by now
            return
        for pid in tree(self._process.pid)[1:]:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()

    async def ended(self) -> None:
        await self._process.ended()
        if self._last is not None:
            self._last.cancel()

    async def cause(self) -> str:
        return await self._process.cause()

    def release(self) -> None:
        self._process.release()


def _children(pid: int) -> list[int]:
    """pidfds of what a process started; in a box that is its first, and all others end with it."""
    found: list[int] = []
    with suppress(OSError, AttributeError):  # gone meanwhile; a kernel without pidfds
        found.extend(os.pidfd_open(child) for child in children_of(pid))
    return found


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
