"""Calls on a supervisor: asked, waited for, cancelled; the end of a box that does not answer."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeVar

from wardian_sandbox.channel import REMEDY, UNEXPECTED, Channel
from wardian_sandbox.errors import SandboxLost
from wardian_sandbox.guard import Guard, Watched
from wardian_sandbox.inner.frames import BadFrame
from wardian_sandbox.process import BoxProcess
from wardian_sandbox.results import exec_result
from wardian_sandbox.types import Confinement, ExecResult, Limit, ResourceLimits
from wardian_sandbox.workspace import Workspace

HOST_GRACE_SECONDS = 5.0
"""How much longer than the supervisor the host waits before it ends the whole box."""
T = TypeVar("T")


class Calls:
    """The calls of one box."""

    def __init__(
        self, process: BoxProcess, channel: Channel, workspace: Workspace, guard: Guard | None
    ) -> None:
        self._process = process
        self._channel = channel
        self._workspace = workspace
        self._guard = guard
        self._stopping: set[asyncio.Task[None]] = set()
        self._cause: str | None = None
        # Whatever it said that ended the channel, it is not to run on.
        channel.lost.add_done_callback(
            lambda _: process.kill() if channel.why != UNEXPECTED else None
        )
        if guard is not None:
            guard.watch(channel.end)

    async def reset(self) -> None:
        """End what runs, and have a fresh interpreter. Raises: SandboxLost."""
        _, answer = self._channel.request("reset")
        facts = await self._in_time(answer, HOST_GRACE_SECONDS, "it did not reset")
        if facts.get("fresh") is not True:
            raise SandboxLost("The sandbox could not start a fresh interpreter.", REMEDY)

    def understood(self, read: Callable[[dict[str, Any]], T], answer: dict[str, Any]) -> T:
        """An answer as a result; one that makes no sense ends the box. Raises: ProtocolBroken."""
        try:
            return read(answer)
        except BadFrame as problem:
            raise self._channel.break_off(problem) from problem

    async def transferred(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except BadFrame as problem:
            raise self._channel.break_off(problem) from problem

    async def run(self, operation: str, within: Confinement, **details: Any) -> ExecResult:
        """Run code, with the host's guard watching. Raises: SandboxLost."""
        watched = None if self._guard is None else self._guard.begin(within.limits)
        try:
            facts = await self.call(operation, within, writes=True, watched=watched, **details)
        finally:
            if self._guard is not None and watched is not None:
                self._guard.end(watched)
        result = self.understood(exec_result, facts)
        if self._guard is None or watched is None:
            return result
        if Limit.WORKSPACE in watched.hit:
            await self._guard.measure_workspace()  # what was written until it was really ended
        return watched.added_to(result)

    async def call(
        self,
        operation: str,
        limited: Confinement,
        *,
        writes: bool,
        watched: Watched | None = None,
        **details: Any,
    ) -> dict[str, Any]:
        await self._workspace.before_call()
        limits = _as_json(limited.limits)
        try:
            number, answer = self._channel.request(operation, limits=limits, **details)
            if watched is not None:
                watched.stop = functools.partial(self._stop, number, answer)
            return await self._answer(number, answer, limited.limits)
        except SandboxLost as lost:
            raise await self._explained(lost) from lost
        finally:
            if writes:
                await self._workspace.after_call()

    async def _answer(
        self, number: int, answer: asyncio.Future[dict[str, Any]], limits: ResourceLimits
    ) -> dict[str, Any]:
        seconds = limits.wall_seconds + HOST_GRACE_SECONDS
        try:
            return await self._in_time(answer, seconds, "it did not keep its time limit")
        except asyncio.CancelledError:
            if (still_to_come := self._channel.awaited_anew(number)) is not None:
                await self._cancel(number, still_to_come)
            raise

    async def _in_time(
        self, answer: asyncio.Future[dict[str, Any]], seconds: float, why: str
    ) -> dict[str, Any]:
        """An answer; if it does not come, the box is ended for `why`.

        Awaited itself, and so cancelled with the caller: another future around it would cost a
        small cell a tenth of its time. Raises: SandboxLost.
        """
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError as problem:
            await self.abandon(why)
            raise self._channel.loss() from problem

    def _stop(self, number: int, answer: asyncio.Future[dict[str, Any]]) -> None:
        """End a call that hit a limit; it is answered all the same."""
        stopping = asyncio.create_task(self._cancel(number, answer, "limited"))
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)

    async def _cancel(
        self, number: int, answer: asyncio.Future[dict[str, Any]], ending: str = "cancelled"
    ) -> None:
        """End a call and wait until what it started is dead; if that fails, end the box."""
        try:
            self._channel.send({"id": number, "op": "cancel", "as": ending})
        except SandboxLost:
            return
        done, _ = await asyncio.wait((answer,), timeout=HOST_GRACE_SECONDS)
        if not done:
            await self.abandon("it did not end a cancelled call")

    async def _explained(self, lost: SandboxLost) -> SandboxLost:
        """The same with what the backend knows of it; asked once."""
        if self._channel.why != UNEXPECTED:
            return lost
        if self._cause is None:
            known = "" if self._guard is None else self._guard.cause()
            self._cause = known or await self._process.cause()
        return SandboxLost(f"The sandbox is gone: {self._cause}.", REMEDY) if self._cause else lost

    async def abandon(self, why: str) -> None:
        self._channel.end(why)
        self._process.kill()
        await self._process.ended()


@functools.lru_cache(maxsize=16)
def _as_json(limits: ResourceLimits) -> dict[str, Any]:
    return asdict(limits)
