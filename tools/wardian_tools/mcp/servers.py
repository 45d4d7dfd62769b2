"""The servers of a run, as tools.

What a model is offered is what a person approved: it is known without starting anything, and is the
same in every run. A server starts at the first call of one of its tools. What it then offers is
held against what was approved; a tool that differs is not called.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from wardian_tools.errors import ServerError
from wardian_tools.mcp.checking import parameters_of, validator
from wardian_tools.mcp.connection import Connection
from wardian_tools.mcp.definitions import (
    MAX_NAME_CHARS,
    RESOURCE_TOOLS,
    Definition,
    called,
    plain,
    plain_schema,
)
from wardian_tools.mcp.entries import Entry, Seen
from wardian_tools.mcp.pins import Change, Pin, changes
from wardian_tools.mcp.results import output_of, resource_list, resource_output
from wardian_tools.mcp.setting import Setting
from wardian_tools.types import Confidentiality, Effect, Output, ResultStatus, Tool, ToolContext

MAX_ALL_TOOLS = 512
"""Of all servers together."""


class McpServers:
    """Their approved tools, and the connections behind them. Satisfies `ToolSource`."""

    def __init__(
        self,
        entries: Mapping[str, Entry],
        pins: Mapping[str, Pin],
        setting: Setting,
        *,
        wanted: Iterable[str] = ("*",),
        notices: Iterable[str] = (),
    ) -> None:
        """`wanted` are names of tools as a model calls them, or globs over them."""
        self._servers: list[Server] = []
        self.setting = setting
        notices = list(notices)
        for name, entry in sorted(entries.items()):
            pin = pins.get(name)
            if entry.disabled:
                continue
            if pin is None:
                notices.append(f"MCP server {name!r} is not approved: `agent mcp approve {name}`.")
            elif pin.entry_sha256 != entry.sha256:
                notices.append(
                    f"The entry of MCP server {name!r} changed since it was approved, so it is "
                    f"left out: `agent mcp approve {name}`."
                )
            else:
                self._servers.append(Server(entry, pin, setting))
                if entry.sandbox == "none":
                    notices.append(
                        f"MCP server {name!r} runs without a sandbox, with your own rights."
                    )
        self.notices = tuple(notices)
        """What the user should be told: sentences."""
        globs = tuple(wanted)
        found = {
            tool.name: tool
            for server in self._servers
            for tool in server.tools()
            if any(fnmatchcase(tool.name, glob) for glob in globs)
        }
        self.tools = tuple(list(found.values())[:MAX_ALL_TOOLS])

    def secrets(self) -> dict[str, str]:
        """What they are given of the user's variables, by what to show in its place."""
        return {
            f"{name} of {server.entry.name}": value
            for server in self._servers
            for name, value in server.setting.held(server.entry).items()
        }

    def hide(self, globs: Sequence[str]) -> None:
        """Hide what these name in the workspace from the servers that start from now on."""
        self.setting.hidden[:] = globs

    async def close(self) -> None:
        """End all servers, at once."""
        await asyncio.gather(*(server.connection.close() for server in self._servers))


class Server:
    """One approved server."""

    def __init__(self, entry: Entry, pin: Pin, setting: Setting) -> None:
        self.entry = entry
        self.pin = pin
        self.connection = Connection(entry, setting)
        self.setting = setting
        self._looking = asyncio.Lock()
        self._looked_at = 0
        self._changes: dict[str, Change] = {}
        self._label = Confidentiality(entry.results)

    def tools(self) -> list[Tool]:
        """Those approved that the entry still offers."""
        pinned = [tool for tool in self.pin.tools if self.entry.offers(tool.name)]
        extra = RESOURCE_TOOLS if self.pin.resources else ()
        names = called(self.entry.name, [*(tool.name for tool in pinned), *extra])
        found = [self._tool(tool, names[tool.name]) for tool in pinned]
        own = {tool.name for tool in pinned}
        for name, make in zip(extra, (self._lister, self._reader), strict=False):
            if name not in own and self.entry.offers(name):
                found.append(make(names[name]))
        return found

    def _tool(self, tool: Definition, name: str) -> Tool:
        parameters = plain_schema(parameters_of(tool.schema))
        only_reads = self.entry.only_reads(tool.name)
        return Tool(
            name=name,
            description=plain(tool.description),
            parameters=parameters,
            effects=self._effects(only_reads=only_reads),
            idempotent=only_reads,
            validate=validator(name, parameters),
            function=partial(self._call, tool),
            uses_sandbox=False,
        )

    def _lister(self, name: str) -> Tool:
        about = f"List the resources of {self.entry.name}: one address a line, with what it is."
        return self._reading(name, about, {}, self._list)

    def _reader(self, name: str) -> Tool:
        about = f"Read a resource of {self.entry.name} by its address."
        address = {"uri": {"type": "string", "description": "The resource's address."}}
        return self._reading(name, about, address, self._read)

    def _reading(
        self,
        name: str,
        about: str,
        properties: dict[str, Any],
        function: Callable[..., Awaitable[Output]],
    ) -> Tool:
        parameters: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
        return Tool(
            name=name,
            description=about,
            parameters=parameters,
            effects=self._effects(only_reads=True),
            idempotent=True,
            validate=validator(name, parameters),
            function=function,
            uses_sandbox=False,
        )

    def _effects(self, *, only_reads: bool) -> frozenset[Effect]:
        """What it may do: what its box lets it. What a server says of itself counts for nothing."""
        found: set[Effect] = set() if only_reads else {Effect.EXECUTES}
        if self.entry.workspace != Seen.NONE:
            found.add(Effect.READS)
        if self.entry.workspace == Seen.WRITE and not only_reads:
            found.add(Effect.WRITES)
        if self.entry.reaches_out:
            found.add(Effect.EGRESS)
        return frozenset(found)

    async def _call(self, tool: Definition, context: ToolContext, /, **arguments: Any) -> Output:
        async def call() -> Output:
            await self._look()
            if change := self._changes.get(tool.name):
                return self._changed(change)
            return output_of(await self.connection.call(tool.name, arguments), self._label)

        return await self._done(call())

    async def _list(self, context: ToolContext, /) -> Output:
        async def listed() -> Output:
            return resource_list(await self.connection.resources(), self._label)

        return await self._done(listed())

    async def _read(self, context: ToolContext, /, uri: str) -> Output:
        async def read() -> Output:
            return resource_output(await self.connection.read(uri), self._label)

        return await self._done(read())

    async def _done(self, work: Awaitable[Output]) -> Output:
        """What came of it, and what it asked of the network."""
        try:
            output = await work
        except ServerError as error:
            output = Output(
                content=str(error),
                status=ResultStatus.ERROR,
                confidentiality=self._label,
                data={"code": "mcp_server"},
            )
        events = self.setting.egress.get(self.entry.name, [])
        asked = [f"{e.outcome} {e.host}:{e.port}" for e in events if e.outcome != "closed"]
        events.clear()
        if asked:
            output.data["egress"] = asked
        return output

    async def _look(self) -> None:
        """Hold what it offers against what was approved; once for each start."""
        async with self._looking:
            await self.connection.client()
            if self.connection.starts == self._looked_at and not self.connection.is_stale:
                return
            offer = await self.connection.offer()
            found = changes(self.pin.tools, offer.tools)
            self._changes = {change.name: change for change in found if change.kind != "added"}
            for change in found:
                if change.kind == "renamed" and change.before is not None:
                    self._changes[change.before.name] = change
            self._looked_at = self.connection.starts

    def _changed(self, change: Change) -> Output:
        server = self.entry.name
        what = {"removed": "is gone from", "changed": "was changed by"}.get(change.kind, "")
        if change.kind == "renamed":
            what = f"was renamed to {plain(change.name)[:MAX_NAME_CHARS]!r} by"
        return Output(
            content=f"Not run: this tool {what} MCP server {server!r} since the user approved it "
            f"({self.pin.approved}). The user has to look at it: `agent mcp approve {server}`.",
            status=ResultStatus.DENIED,
            confidentiality=self._label,
            data={"code": "mcp_changed"},
        )
