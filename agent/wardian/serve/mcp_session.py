"""Calls of another program as a run: decided by the policy, run in the sandbox, recorded.

The program stands where the model does. So its calls go the one way that calls go, and what it did
is a trajectory like any other. One session is one run with one sandbox; calls that come while
others run wait for them, those that come together and only read run side by side.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any

from wardian.agent import Agent
from wardian.events import CallFinished
from wardian.types import Delta, Finish, Message, Reply, Request, Role
from wardian_policies.types import Ask
from wardian_tools import MAX_CALLS_PER_REPLY, Registry, ToolCall, ToolContext, ToolResult
from wardian_tools.types import Output, ResultStatus, Tool

TASK = "Calls of another program, over the Model Context Protocol."
Approve = Callable[[Ask, ToolCall], Awaitable[bool]]


class Caller:
    """The other program, as a model: what it calls is what it replies. Satisfies `Model`."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[ToolCall | None] = asyncio.Queue()
        """None: it left."""

    @property
    def name(self) -> str:
        return "mcp-client"

    @property
    def is_local(self) -> bool:
        """What it does with the results is its own affair; most pass them to a provider."""
        return False

    @property
    def identity(self) -> dict[str, Any]:
        return {"kind": "mcp-client"}

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Reply, None]:
        calls = [await self.calls.get()]
        while not self.calls.empty() and len(calls) < MAX_CALLS_PER_REPLY and calls[-1] is not None:
            calls.append(self.calls.get_nowait())
        made = tuple(call for call in calls if call is not None)
        if calls[-1] is None and made:
            self.calls.put_nowait(None)
        text = "" if made else "The other program left."
        finish = Finish.CALLS if made else Finish.STOP
        message = Message(role=Role.ASSISTANT, content=text, calls=made)
        yield Reply(message=message, finish=finish, model=self.name)

    async def close(self) -> None:
        """Nothing to close."""


class Session:
    """Takes calls until it is closed. `agent` was made with `caller` as its model."""

    def __init__(self, agent: Agent[Any], caller: Caller) -> None:
        self._agent = agent
        self._caller = caller
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[ToolResult]] = {}
        self._approve: dict[str, Approve] = {}
        self._working: dict[str, asyncio.Task[Output]] = {}
        self._asking: dict[str, asyncio.Future[bool]] = {}
        self._running: asyncio.Task[None] | None = None
        self._is_closed = False
        agent.registry = Registry(self._stoppable(tool) for tool in agent.registry)
        agent.approve = self._ask

    @property
    def tools(self) -> Registry:
        return self._agent.registry

    @property
    def offered(self) -> list[Tool]:
        """Those the policy may let run: one that it denies outright is no use to anybody."""
        return [tool for tool in self.tools if self._agent.policy.may_allow(tool)]

    async def call(self, name: str, arguments: dict[str, Any], approve: Approve) -> ToolResult:
        """The result of a call; cancelling this ends what it started."""
        call = ToolCall(
            id=f"mcp_{next(self._numbers)}", name=name, arguments_text=json.dumps(arguments)
        )
        parsed = self.tools.parse(call)
        if parsed.problem is not None:
            return _not_run(call, ResultStatus.MALFORMED, parsed.problem)
        if self._is_closed:
            return _not_run(call, ResultStatus.DISCARDED, "Not run: the session is over.")
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        if self._running.done():
            return _not_run(call, ResultStatus.DISCARDED, self._ended())
        answer: asyncio.Future[ToolResult] = asyncio.get_running_loop().create_future()
        self._waiting[call.id] = answer
        self._approve[call.id] = approve
        self._caller.calls.put_nowait(call)
        try:
            await asyncio.wait((answer, self._running), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            return _not_run(call, ResultStatus.DISCARDED, self._ended())
        except asyncio.CancelledError:
            if work := self._working.get(call.id):
                work.cancel()
            if asking := self._asking.get(call.id):
                asking.cancel()
            raise
        finally:
            self._waiting.pop(call.id, None)
            self._approve.pop(call.id, None)

    async def close(self) -> None:
        """End the run, after the call that is under way was ended too; no other is taken."""
        self._is_closed = True
        if self._running is not None and not self._running.done():
            self._caller.calls.put_nowait(None)
            for work in tuple(self._working.values()):
                work.cancel()
            for asking in tuple(self._asking.values()):
                asking.cancel()
            await asyncio.wait((self._running,))
        if self._running is not None and not self._running.cancelled():
            self._running.exception()  # seen; each call was told
        await self._agent.close()

    async def _run(self) -> None:
        async for event in self._agent.stream(TASK):
            if isinstance(event, CallFinished):
                answer = self._waiting.get(event.result.call_id)
                if answer is not None and not answer.done():
                    answer.set_result(event.result)

    def _ended(self) -> str:
        assert self._running is not None
        problem = None if self._running.cancelled() else self._running.exception()
        if problem is not None:
            return f"Not run: the session broke ({problem})."
        return "Not run: the session is over, since a limit of its policy was reached."

    async def _ask(self, ask: Ask, call: ToolCall) -> bool:
        """What its user says; no, once the call is cancelled or the session is closed."""
        approve = self._approve.get(call.id)
        if approve is None:
            return False
        asking = self._asking[call.id] = asyncio.ensure_future(approve(ask, call))
        try:
            await asyncio.wait((asking,))
        finally:
            asking.cancel()
            del self._asking[call.id]
        return not asking.cancelled() and asking.result()

    def _stoppable(self, tool: Tool) -> Tool:
        """The tool, each of whose calls can be ended by itself."""

        async def run(context: ToolContext, /, **arguments: Any) -> Output:
            async def work() -> Output:
                return await tool.function(context, **arguments)

            task = self._working[context.call_id] = asyncio.create_task(work())
            try:
                return await task
            finally:
                del self._working[context.call_id]

        return replace(tool, function=run)


def _not_run(call: ToolCall, status: ResultStatus, why: str) -> ToolResult:
    return ToolResult(call_id=call.id, name=call.name, status=status, content=why)
