"""A container as the process a box lives in."""

import asyncio
import contextlib
import json
import os
import signal
import time

from wardian_sandbox.docker.engine import Engine
from wardian_sandbox.docker.folder import BoxFolder
from wardian_sandbox.docker.leftovers import unremoved
from wardian_sandbox.docker.problems import DockerError

KILLED_SECONDS = 5.0
"""How long a killed process may take to be gone before Docker is asked to see to it."""
STATE_SECONDS = 3.0
"""How long Docker may take to notice that a container ended."""
KILLED = ("9", "SIGKILL", "KILL")


class ContainerProcess:
    """The container, killed without Docker's help where its first process is known."""

    def __init__(self, engine: Engine, container: str, folder: BoxFolder) -> None:
        self.container = container
        """Its name."""
        self._engine = engine
        self._folder = folder
        self._watch = -1
        self.pid: int | None = None
        """Its first process on this host; None where that cannot be seen."""
        self._is_removed = False
        self._turn = asyncio.Lock()

    def know(self, process: int) -> None:
        """Its first process as the host numbers it; 0 where the host cannot see it."""
        if process > 0:
            with contextlib.suppress(OSError):
                self._watch = os.pidfd_open(process)
                self.pid = process

    def kill(self) -> None:
        if self._watch >= 0:
            # Denied where the runtime's process is root's; `ended` then has Docker do it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._watch, signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until the container is gone, with all that was in it."""
        async with self._turn:
            if self._is_removed:
                return
            await self._wait_for_its_process()
            try:
                await self._engine.ask("DELETE", f"/containers/{self.container}", force=1, v=1)
            except DockerError as problem:
                if problem.status != 404:
                    unremoved.add(self.container)  # the next start, or gc, tries again
            self._is_removed = True

    async def cause(self) -> str:
        """Why it ended, as far as Docker knows; empty when it does not."""
        path = f"/containers/{self.container}"
        try:
            with contextlib.suppress(DockerError):
                await self._engine.ask(
                    "POST", f"{path}/wait", condition="not-running", seconds=STATE_SECONDS
                )
            state = (await self._engine.ask("GET", f"{path}/json"))["State"]
        except DockerError as problem:
            if problem.status == 404:
                return "its container was removed from outside"
            return "the Docker daemon stopped" if problem.status == 0 else ""
        if state["Running"]:
            return ""
        if state["OOMKilled"]:
            return "its container ran out of memory"
        if await self._was_stopped():
            return "its container was stopped from outside"
        if state["ExitCode"] > 128:
            return f"its container was killed from outside (signal {state['ExitCode'] - 128})"
        return f"its container ended with code {state['ExitCode']}"

    async def _was_stopped(self) -> bool:
        """Did somebody have Docker ask it to stop? What we end ourselves gets SIGKILL and no more.

        Docker keeps the latest 256 events only, so a no may be wrong.
        """
        wanted = json.dumps({"container": [self.container], "event": ["kill"]})
        try:
            said = await asyncio.to_thread(
                self._engine.read, "/events", since=0, until=f"{time.time():.9f}", filters=wanted
            )
            events = [json.loads(line)["Actor"]["Attributes"] for line in said.splitlines() if line]
        except (DockerError, ValueError, KeyError, TypeError):
            return False
        return any(event.get("signal") not in KILLED for event in events)

    def release(self) -> None:
        if self._watch >= 0:
            os.close(self._watch)
            self._watch = -1
        self._folder.remove()

    async def _wait_for_its_process(self) -> None:
        if self._watch < 0:
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        loop.add_reader(self._watch, done.set)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), KILLED_SECONDS)
        finally:
            loop.remove_reader(self._watch)
