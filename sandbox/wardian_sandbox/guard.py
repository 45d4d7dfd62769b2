"""Keeps a box as a whole within its limits, from the host, and knows which of them a call hit.

Covers: with a control group, memory and processes by the kernel, whose counters are read after each
call; without one, memory of all processes and private files together, looked at while calls run
and, less often, between them. With either: processor time of a call, growth of the workspace.
Does not cover: what happens between two looks.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from wardian_sandbox.cgroup import Counters, Gauges, Group
from wardian_sandbox.limits import in_bytes
from wardian_sandbox.quota import Quota
from wardian_sandbox.types import ExecResult, Limit, ResourceLimits
from wardian_sandbox.usage import Usage, measure

FIRST_LOOK_SECONDS = 0.1
LOOK_SECONDS = 0.25
IDLE_LOOK_SECONDS = 2.0
PATIENCE_LOOKS = 8
"""So many looks in a row over a limit, though what ran was ended, and the box itself is ended."""

REMOVAL_PAUSES = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0)
"""Seconds; killed processes are a moment in their group still."""


@dataclass(slots=True, eq=False)
class Watched:
    """One call under way."""

    limits: ResourceLimits
    added_before: tuple[int, int] = (0, 0)
    """Bytes and files in the workspace, where they were over its quota already."""
    stop: Callable[[], None] | None = None
    """Ends the call; None before it was sent and once it was used."""
    cpu_before: float | None = None
    """Of the box, when the call was first looked at."""
    hit: set[Limit] = field(default_factory=set[Limit])

    def end_for(self, limit: Limit) -> None:
        self.hit.add(limit)
        if self.stop is not None:
            self.stop()
            self.stop = None

    def added_to(self, result: ExecResult) -> ExecResult:
        """The supervisor's result with what the host knows of it."""
        if not self.hit:
            return result
        return replace(result, limits_hit=tuple(sorted(self.hit.union(result.limits_hit))))


class Guard:
    """The host's watch over one box."""

    def __init__(
        self,
        limits: ResourceLimits,
        workspace: Path,
        *,
        process: int | None = None,
        group: Group | None = None,
        gauges: Gauges | None = None,
    ) -> None:
        """`process` is the box's outermost on this host; None where it cannot be seen.

        `gauges` are of somebody else's group around the box, `group` is one of ours.
        """
        self._limits = limits
        self._quota = Quota(workspace, limits)
        self._process = process
        self._group = group
        self._gauges = gauges or (group.gauges if group else None)
        self._calls: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_idle = True
        """Is the timer one for the time between calls? It is left alone as calls come and go."""
        self._looking: asyncio.Task[None] | None = None
        self._events = self._read_events()
        self._counted = self._read_counters()
        self._looks_over = 0
        self._was_over_quota = False
        self._abandon: Callable[[str], None] = _nothing
        self._is_closed = False

    def watch(self, abandon: Callable[[str], None]) -> None:
        """From now on; `abandon` ends the box and is told why."""
        self._abandon = abandon
        self._look_after(IDLE_LOOK_SECONDS)

    def begin(self, limits: ResourceLimits) -> Watched:
        """A call that runs code begins."""
        call = Watched(limits, self._quota.added if self._was_over_quota else (0, 0))
        self._calls.add(call)
        if self._timer is None or self._is_idle:
            self._look_after(FIRST_LOOK_SECONDS)
        return call

    def end(self, call: Watched) -> None:
        """It is over."""
        self._calls.discard(call)
        call.hit |= self._new_events()

    async def measure_workspace(self) -> None:
        """How much there is too much: what a later call that only deletes must not be ended for."""
        self._was_over_quota = await asyncio.to_thread(self._quota.is_exceeded, self._process)

    def cause(self) -> str:
        """Why a box that ended did, as far as is known here; else empty."""
        if Limit.MEMORY in self._new_events():
            return f"it ran out of memory (limit {in_bytes(self._limits.memory_bytes)})"
        return ""

    async def close(self) -> None:
        """Once the box is gone."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._looking is not None:
            await asyncio.wait((self._looking,))
        gauges, self._gauges = self._gauges, None
        if self._group is not None:
            await remove(self._group)
        elif gauges is not None:
            gauges.close()

    def _look_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_idle = not self._calls
        is_needed = bool(self._calls) or self._counts_itself
        if is_needed and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self._look_now)

    @property
    def _counts_itself(self) -> bool:
        return self._gauges is None and self._process is not None

    def _look_now(self) -> None:
        self._timer = None
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        self._look_after(LOOK_SECONDS if self._calls else IDLE_LOOK_SECONDS)

    async def _look(self) -> None:
        if self._counts_itself:
            assert self._process is not None
            usage = await asyncio.to_thread(measure, self._process, self._limits.memory_bytes)
            self._judge(usage)
            cpu_seconds = usage.cpu_seconds
        else:
            cpu_seconds = self._read_counters().cpu_seconds
        for call in tuple(self._calls):
            if call.cpu_before is None:
                call.cpu_before = cpu_seconds
            elif cpu_seconds - call.cpu_before > call.limits.cpu_seconds:
                call.end_for(Limit.CPU)
        await self._look_at_the_workspace()

    def _judge(self, usage: Usage) -> None:
        """What our own looking says of memory and processes."""
        if usage.threads >= self._limits.processes:
            for call in self._calls:
                call.hit.add(Limit.PROCESSES)
        if usage.memory_bytes <= self._limits.memory_bytes:
            self._looks_over = 0
            return
        self._looks_over += 1
        for call in tuple(self._calls):
            call.end_for(Limit.MEMORY)
        if not self._calls or self._looks_over > PATIENCE_LOOKS:
            room = in_bytes(self._limits.memory_bytes)
            self._abandon(f"it used more memory than it may ({room})")

    async def _look_at_the_workspace(self) -> None:
        """End what writes too much; but not what only deletes, though there is still too much."""
        if not self._calls or not self._quota.is_in_doubt():
            return
        await self.measure_workspace()
        if self._was_over_quota:
            size, files = self._quota.added
            for call in tuple(self._calls):
                if size > call.added_before[0] or files > call.added_before[1]:
                    call.end_for(Limit.WORKSPACE)

    def _new_events(self) -> set[Limit]:
        """What the kernel's counters say that they did not say before."""
        events = self._read_events()
        if events == self._events:
            return set()
        self._events = events
        before, self._counted = self._counted, self._read_counters()
        hit: set[Limit] = set()
        if self._counted.killed_for_memory > before.killed_for_memory:
            hit.add(Limit.MEMORY)
        if self._counted.refused_processes > before.refused_processes:
            hit.add(Limit.PROCESSES)
        return hit

    def _read_events(self) -> tuple[bytes, bytes]:
        if self._gauges is not None:
            with suppress(OSError):  # its group is gone already
                return self._gauges.events()
        return b"", b""

    def _read_counters(self) -> Counters:
        if self._gauges is not None:
            with suppress(OSError):
                return self._gauges.counters()
        return Counters()


async def remove(group: Group) -> None:
    """End what is in a group, and remove it; what does not die in time goes with a later box."""
    group.kill()
    for pause in REMOVAL_PAUSES:
        if group.remove():
            return
        await asyncio.sleep(pause)


def _nothing(_: str) -> None:
    """Nobody has asked to be told yet."""
