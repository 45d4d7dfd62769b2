"""One server, started when it is first needed, and again a few times if it ends by itself.

Covers: a server that does not start, never answers, ends in the middle of a call, or answers what
is no answer: each is a `ServerUnavailable` with one sentence, within its time. A call is never
repeated. The server gets nothing of ours: no model (sampling), no folders (roots), no person
(elicitation).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import wardian_sandbox
from wardian_sandbox.errors import SandboxError
from wardian_tools.errors import ServerUnavailable
from wardian_tools.mcp.definitions import Definition, Offer, chosen, plain
from wardian_tools.mcp.entries import Entry
from wardian_tools.mcp.setting import Setting
from wardian_tools.problems import clipped

MAX_RESTARTS = 3
"""In one run, after it ended by itself or stopped answering."""
MAX_PAGES = 100
"""Of one listing."""
MAX_LISTED = 10_000
PING_SECONDS = 2.0
"""For a server that let a call's time run out to show that it lives."""
LAST_WORDS_CHARS = 400
LAST_WORDS_SECONDS = 3.0
"""For a server whose streams have ended to have ended too, and how; on a crowded machine, long."""
NEEDS_A_TASK = "It runs only as a task, which is not supported."
T = TypeVar("T")


class Connection:
    """Talks to one server. Calls may overlap."""

    def __init__(self, entry: Entry, setting: Setting) -> None:
        self.entry = entry
        self._setting = setting
        self._turn = asyncio.Lock()
        self._client: Any = None
        self._living: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._service: wardian_sandbox.Service | None = None
        self._noise: Any = None
        self._refused: list[str] = []
        """Why answers over HTTP were not taken."""
        self._starts = 0
        self.is_stale = False
        """The server says that its tools changed."""

    async def offer(self) -> Offer:
        """What it has now. Raises: ServerUnavailable."""
        import mcp_types as types

        client = await self.client()
        has = client.server_capabilities
        self.is_stale = False
        found: list[Definition] = []
        unusable: dict[str, str] = {}
        if has.tools is not None:
            async for page in self._pages(lambda p: client.session.list_tools(params=p), types):
                found += [
                    Definition(
                        name=tool.name, description=tool.description or "", schema=tool.input_schema
                    )
                    for tool in page.tools
                ]
                unusable |= {
                    tool.name: NEEDS_A_TASK
                    for tool in page.tools
                    if tool.execution is not None and tool.execution.task_support == "required"
                }
        offer = chosen(found, self.entry.offers, unusable)
        info = client.server_info
        return Offer(
            tools=offer.tools,
            left_out=offer.left_out,
            resources=has.resources is not None,
            prompts=has.prompts is not None,
            server=clipped(plain(f"{info.name} {info.version}"), 100) if info else "",
        )

    async def call(self, tool: str, arguments: dict[str, Any]) -> Any:
        """The `CallToolResult` of a call. Raises: ServerUnavailable."""
        import mcp_types as types

        # Not `Client.call_tool`: that checks the answer against a schema of the server's own
        # making, regular expressions and all, which it could make us work on for ever.
        parameters = types.CallToolRequestParams(name=tool, arguments=arguments)
        request = types.CallToolRequest(params=parameters)
        client = await self.client()
        return await self._asked(client.session.send_request(request, types.CallToolResult))

    async def resources(self) -> list[Any]:
        """Raises: ServerUnavailable."""
        import mcp_types as types

        client = await self.client()
        found: list[Any] = []
        async for page in self._pages(lambda p: client.session.list_resources(params=p), types):
            found += page.resources
        return found

    async def read(self, uri: str) -> Any:
        """A `ReadResourceResult`. Raises: ServerUnavailable."""
        client = await self.client()
        return await self._asked(client.session.read_resource(uri))

    async def prompts(self) -> list[Any]:
        """Raises: ServerUnavailable."""
        import mcp_types as types

        client = await self.client()
        found: list[Any] = []
        async for page in self._pages(lambda p: client.session.list_prompts(params=p), types):
            found += page.prompts
        return found

    async def prompt(self, name: str, arguments: dict[str, str]) -> Any:
        """A `GetPromptResult`. Raises: ServerUnavailable."""
        client = await self.client()
        return await self._asked(client.session.get_prompt(name, arguments))

    @property
    def noise(self) -> str:
        """What it printed to its standard output that was no message; empty if nothing."""
        return self._noise.told if self._noise else ""

    async def client(self) -> Any:
        """The SDK's client, connected. Raises: ServerUnavailable."""
        async with self._turn:
            if self._client is not None and not self._has_ended:
                return self._client
            await self._end()
            # A remote one is not started by us: asking it again costs nothing but the call.
            if self._starts > MAX_RESTARTS and not self.entry.is_remote:
                raise ServerUnavailable(
                    f"MCP server {self.entry.name!r} failed {self._starts} times and is not "
                    "started again in this run.",
                    f"`agent mcp test {self.entry.name}` shows what is wrong.",
                )
            self._starts += 1
            await self._begin()
            return self._client

    async def close(self) -> None:
        """End the server, and leave nothing of it. It starts again when needed."""
        async with self._turn:
            await self._end()
            self._starts = 0

    @property
    def starts(self) -> int:
        """How often it was started; what it offers may differ from one to the next."""
        return self._starts

    @property
    def _has_ended(self) -> bool:
        if self._living is None or self._living.done():
            return True
        return self._service is not None and self._service.ended.done()

    async def _begin(self) -> None:
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._living = asyncio.create_task(self._live(ready))
        try:
            async with asyncio.timeout(self.entry.start_seconds):
                self._client = await ready
        except TimeoutError:
            cause = f"did not answer within {self.entry.start_seconds:g} s of its start."
            if self._service is not None:
                self._service.kill("was ended")
            problem = await self._problem(cause, _longer("start_seconds"))
            await self._end()
            raise problem from None
        except BaseException:
            await self._end()
            raise

    async def _end(self) -> None:
        living, is_ready = self._living, self._client is not None
        self._living = self._client = None
        if living is None:
            return
        if is_ready:
            self._stop.set()
            await asyncio.wait((living,), timeout=PING_SECONDS)
        living.cancel()
        await asyncio.wait((living,))
        if not living.cancelled():
            living.exception()  # seen

    async def _live(self, ready: "asyncio.Future[Any]") -> None:
        """In a task of its own: what the SDK opens in one it must close in the same."""
        from mcp.client.client import Client
        from mcp_types import Implementation

        _be_quiet()
        us = Implementation(name="wardian", version="1")
        try:
            async with Client(
                self._transport(), client_info=us, cache=None, message_handler=self._hear
            ) as client:
                ready.set_result(client)
                await self._stop.wait()
        except Exception as error:  # noqa: BLE001 - whatever the SDK or the server came up with
            if not ready.done():
                ready.set_exception(await self._start_problem(error))
                ready.exception()  # seen; who waited may be gone

    @asynccontextmanager
    async def _transport(self) -> AsyncGenerator[Any, None]:
        entry = self.entry
        if entry.is_remote:
            from wardian_tools.mcp.http import streams

            self._service = None
            headers = self._setting.headers(entry)
            self._refused.clear()
            refused = self._refused.append
            async with streams(entry.url, headers, entry.timeout_seconds, refused) as found:
                yield found
            return
        from wardian_tools.mcp.stdio import Noise, messages

        self._noise = Noise()
        self._service = await self._setting.start(entry)
        async with messages(self._service, self._noise) as found:
            yield found

    async def _hear(self, message: object) -> None:
        """Of all that a server says of itself only one thing matters."""
        await asyncio.sleep(0)
        if type(message).__name__ == "ToolListChangedNotification":
            self.is_stale = True

    async def _pages(
        self, ask: Callable[[Any], Awaitable[Any]], types: Any
    ) -> AsyncGenerator[Any, None]:
        cursor: str | None = None
        listed = 0
        for _ in range(MAX_PAGES):
            page = await self._asked(ask(types.PaginatedRequestParams(cursor=cursor)))
            yield page
            kinds = ("tools", "resources", "prompts")
            listed += sum(len(getattr(page, kind, ())) for kind in kinds)
            cursor = page.next_cursor
            if not cursor:
                return
            if listed > MAX_LISTED:
                break
        raise ServerUnavailable(
            f"MCP server {self.entry.name!r} lists without end.", "Ask its makers."
        )

    async def _asked(self, answer: Awaitable[T]) -> T:
        """Its answer, in time. Raises: ServerUnavailable."""
        from mcp.shared.exceptions import MCPError
        from mcp_types import CONNECTION_CLOSED
        from pydantic import ValidationError

        try:
            async with asyncio.timeout(self.entry.timeout_seconds):
                return await answer
        except TimeoutError:
            await self._end_if_it_hangs()
            cause = f"did not answer within {self.entry.timeout_seconds:g} s."
            raise await self._problem(cause, _longer("timeout_seconds")) from None
        except MCPError as error:
            if error.code == CONNECTION_CLOSED or self._has_ended:
                self._client = None
                raise await self._problem("ended before it answered.") from error
            said = clipped(plain(error.message), LAST_WORDS_CHARS)
            raise ServerUnavailable(f"MCP server {self.entry.name!r} refused: {said}") from error
        except (ValidationError, RuntimeError, ValueError) as error:
            raise await self._problem("answered what is no answer.") from error
        except Exception as error:
            self._client = None
            said = clipped(plain("; ".join(map(str, _leaves(error)))), LAST_WORDS_CHARS)
            raise await self._problem(f"cannot be reached: {said}.") from error

    async def _end_if_it_hangs(self) -> None:
        from mcp.shared.exceptions import MCPError
        from mcp_types import CONNECTION_CLOSED

        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._client.session.list_tools()
        except Exception as error:  # noqa: BLE001 - any failure to answer means the same
            if isinstance(error, MCPError) and error.code != CONNECTION_CLOSED:
                return  # it says no, so it lives
            async with self._turn:
                if self._service is not None:
                    self._service.kill("stopped answering")
                await self._end()

    async def _start_problem(self, error: Exception) -> Exception:
        leaves = list(_leaves(error))
        for leaf in leaves:
            if isinstance(leaf, SandboxError):
                cause = f"MCP server {self.entry.name!r} cannot be started: {leaf.cause}"
                return ServerUnavailable(cause, leaf.remedy)
            if isinstance(leaf, ServerUnavailable):
                return leaf
        if self._service is not None and self._service.ended.done():
            return await self._problem("ended before it was ready.")
        said = clipped(plain("; ".join(str(leaf) for leaf in leaves)), LAST_WORDS_CHARS)
        return await self._problem(f"cannot be used: {said}.")

    async def _problem(self, cause: str, first: str = "") -> ServerUnavailable:
        """The same with what is known of the server's end, and its last words.

        `first` is what to try first.
        """
        cause = f"MCP server {self.entry.name!r} {cause}"
        remedy = "Run its command by hand, and see."
        if self.entry.url:
            remedy = "Check its address, and the headers that its entry sends."
        remedy = f"{first} {remedy}".lstrip()
        if self._service is None:
            return ServerUnavailable(" ".join([cause, *self._refused[:1]]), remedy)
        if self._client is None:
            # Its streams end a moment before it is known how it did.
            await asyncio.wait((self._service.ended,), timeout=LAST_WORDS_SECONDS)
            await self._service.stderr.over(LAST_WORDS_SECONDS)
        if self._service.ended.done():
            end = self._service.ended.result()
            if end.exit_code == 127:
                remedy = self._setting.absent(self.entry)
            cause = f"{cause} It {end.why}."
        if self.noise and self.noise not in cause:
            cause = f"{cause} It printed {self.noise}."
        if words := self._service.stderr.text:
            last = plain(words)[-LAST_WORDS_CHARS:]
            cause = f"{cause} Its last words: {last.rstrip('.')}."
        return ServerUnavailable(cause, remedy)


def _longer(key: str) -> str:
    return f"If it needs longer, raise `{key}` in its entry."


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _be_quiet() -> None:
    """What the SDK logs is the server's text; unheard, Python would print it to the terminal."""
    import logging

    logger = logging.getLogger("mcp")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
