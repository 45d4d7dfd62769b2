"""The host's side of jobs: orders out, bounded answers back, and what the proxy said meanwhile."""

import asyncio
import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wardian_sandbox.diagnosis import explain_failure
from wardian_sandbox.egress.dialling import Resolve
from wardian_sandbox.egress.names import BadName
from wardian_sandbox.egress.proxy import EgressProxy, OnEgress
from wardian_sandbox.egress.rules import unusable
from wardian_sandbox.errors import SandboxLost, SandboxUnavailable
from wardian_sandbox.inner.frames import BadFrame, parse
from wardian_sandbox.jobs.launching import (
    authorities,
    launch_confined,
    launch_plain,
    package_folders,
)
from wardian_sandbox.jobs.worker import READY
from wardian_sandbox.process import Process
from wardian_sandbox.starting import START_SECONDS, introduce
from wardian_sandbox.types import (
    Egress,
    EgressEvent,
    EgressOutcome,
    Job,
    JobFailure,
    JobResult,
    ResourceLimits,
)

MARK = b"J"
READ_BYTES = 1 << 18
MAX_ANSWER_BYTES = 24 << 20
GRACE_SECONDS = 2.0
"""For a job that ends itself in time; then nobody waits for it any more."""
MEMORY_BYTES = 1 << 30
CPU_SECONDS = 30
PROCESSES = 256
FILE_BYTES = 16 << 20
LIMITS = ResourceLimits(
    memory_bytes=MEMORY_BYTES,
    cpu_seconds=CPU_SECONDS,
    processes=PROCESSES,
    file_bytes=FILE_BYTES,
    scratch_bytes=64 << 20,
)
"""Of each job, not of all that run at once."""


class JobBox:
    """One such process, and its proxy."""

    def __init__(self, egress: Egress, on_event: OnEgress, resolve: Resolve) -> None:
        """Raises: BadName when a host of the list is none."""
        self._on_event = on_event
        self._proxy = EgressProxy(egress, self._note, resolve, is_web=True)
        self._refused: list[EgressEvent] = []
        self._process: Process | None = None
        self._control: socket.socket | None = None

    async def start(
        self, modules: Sequence[str], beside: Sequence[Path], *, confined: bool
    ) -> None:
        """Raises: SandboxUnavailable."""
        packages = package_folders(beside)
        settings = _settings(modules, "" if confined else self._listen(), confined)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with theirs:
                launched = await asyncio.to_thread(_launch, theirs.fileno(), packages, confined)
            self._process = Process(launched)
            async with asyncio.timeout(START_SECONDS):
                await introduce(self._control, settings, self._proxy if confined else None)
                if await asyncio.get_running_loop().sock_recv(self._control, len(READY)) != READY:
                    raise SandboxLost("The process for jobs has ended.", "Try again.")
        except (SandboxLost, TimeoutError, OSError) as problem:
            complaint = await self._last_words()
            await self.close()
            raise explain_failure(complaint or str(problem)) from problem
        except BaseException:
            await self.close()
            raise

    def _listen(self) -> str:
        """The proxy's URL for a process that has no network of its own to listen in."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        port = listener.getsockname()[1]
        self._proxy.serve(listener)
        return f"http://127.0.0.1:{port}"

    async def _last_words(self) -> str:
        if self._process is None:
            return ""
        self._process.kill()
        await self._process.ended()
        return self._process.complaint()

    async def run(self, job: Job) -> JobResult:
        """What came of a job. Raises: SandboxUnavailable when the process is gone."""
        assert self._control is not None
        since, began = len(self._refused), time.monotonic()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours:
            ours.setblocking(False)
            with theirs:
                try:
                    socket.send_fds(self._control, [MARK], [theirs.fileno()])
                except OSError as problem:
                    raise SandboxUnavailable(
                        "The process for jobs has ended.", "Try again."
                    ) from problem
            try:
                async with asyncio.timeout(job.seconds + GRACE_SECONDS):
                    answer = await _exchange(ours, job)
            except TimeoutError:
                answer = b""
        is_slow = not answer and time.monotonic() - began >= job.seconds
        if is_slow:
            return JobResult(failure=JobFailure.SLOW, refused=self._since(since))
        return _understood(answer, self._since(since))

    @property
    def is_lost(self) -> bool:
        return self._process is None or self._process.has_ended

    async def close(self) -> None:
        """End it and whatever it does. May be called twice."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            await self._process.ended()
            self._process.release()
        await self._proxy.close()

    def _note(self, event: EgressEvent) -> None:
        if event.outcome in (EgressOutcome.DENIED, EgressOutcome.FAILED):
            self._refused.append(event)
        self._on_event(event)

    def _since(self, count: int) -> tuple[EgressEvent, ...]:
        return tuple(self._refused[count:])


def _settings(modules: Sequence[str], proxy: str, confined: bool) -> dict[str, Any]:
    limits = asdict(LIMITS)
    if not confined:
        # Counted per user outside a namespace, and so over everything else this user runs.
        del limits["processes"]
    return {
        "proxy": proxy,
        "authorities": authorities(),
        "modules": list(modules),
        "limits": limits,
    }


def _launch(control: int, packages: Sequence[Path], confined: bool) -> subprocess.Popen[bytes]:
    if confined:
        return launch_confined(control, LIMITS, packages)
    return launch_plain(control, packages)


async def _exchange(channel: socket.socket, job: Job) -> bytes:
    """The job's answer; empty when it ended without one."""
    loop = asyncio.get_running_loop()
    order = {"function": job.function, "arguments": job.arguments, "seconds": job.seconds}
    parts = bytearray()
    with contextlib.suppress(ConnectionError):
        await loop.sock_sendall(channel, json.dumps(order).encode("ascii"))
        channel.shutdown(socket.SHUT_WR)
        while data := await loop.sock_recv(channel, READ_BYTES):
            parts += data
            if len(parts) > MAX_ANSWER_BYTES:
                return b""
    return bytes(parts)


def _understood(answer: bytes, refused: tuple[EgressEvent, ...]) -> JobResult:
    try:
        message = parse(answer)
    except BadFrame:
        # Killed for its time or its memory, or taken over: it said nothing that can be believed.
        return JobResult(failure=JobFailure.CRASHED, refused=refused)
    if "value" in message:
        return JobResult(value=message["value"], refused=refused)
    is_memory = message.get("failure") == JobFailure.MEMORY
    return JobResult(
        failure=JobFailure.MEMORY if is_memory else JobFailure.CRASHED,
        detail=str(message.get("detail", ""))[:400],
        refused=refused,
    )


class JobBoxes:
    """Those of one run: one for each list of hosts, started when first needed."""

    def __init__(self, on_event: OnEgress, resolve: Resolve, *, confined: bool) -> None:
        self._on_event = on_event
        self._resolve = resolve
        self._confined = confined
        self._boxes: dict[Egress, JobBox] = {}
        self._turn = asyncio.Lock()
        self._is_closed = False

    async def run(self, job: Job, egress: Egress) -> JobResult:
        """Raises: SandboxError."""
        async with self._turn:
            if self._is_closed:
                raise SandboxLost("The sandbox was closed.", "Open a new sandbox.")
            box = self._boxes.get(egress)
            if box is None or box.is_lost:
                box = await self._open(job, egress, box)
        return await box.run(job)

    async def _open(self, job: Job, egress: Egress, lost: JobBox | None) -> JobBox:
        if lost is not None:
            await lost.close()
        try:
            box = JobBox(egress, self._on_event, self._resolve)
        except BadName as problem:
            raise unusable(problem) from problem
        beside = [Path(folder) for folder in job.folders]
        await box.start(job.modules, beside, confined=self._confined)
        self._boxes[egress] = box
        return box

    async def close(self) -> None:
        """End them all."""
        async with self._turn:
            self._is_closed = True
            boxes, self._boxes = self._boxes, {}
        for box in boxes.values():
            await box.close()
