"""Servers over streamable HTTP: the SDK's own, and some that misbehave. All on loopback."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mcp.server.mcpserver import MCPServer

from wardian_tools.errors import ServerUnavailable
from wardian_tools.mcp.connection import Connection
from wardian_tools.mcp.entries import Entry
from wardian_tools.mcp.setting import Setting

Reply = Callable[[dict[str, Any]], tuple[dict[str, str], bytes | None]]
"""A request → headers and body of the answer; None is a body that never ends."""


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="on")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        server.should_exit = True
        server.force_exit = True
        await task


@asynccontextmanager
async def answering(reply: Reply) -> AsyncIterator[str]:
    """A server that answers every POST as `reply` says."""

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                size = [line for line in head.lower().split("\r\n") if "content-length" in line]
                body = await reader.readexactly(int(size[0].split(":")[1])) if size else b"{}"
                headers, answer = reply(json.loads(body or b"{}"))
                lines = [f"{name}: {value}" for name, value in headers.items()]
                length = [] if answer is None else [f"content-length: {len(answer)}"]
                start = "HTTP/1.1 200 OK\r\n" + "\r\n".join([*lines, *length]) + "\r\n\r\n"
                writer.write(start.encode() + (answer or b""))
                await writer.drain()
                while answer is None:
                    writer.write(b"x" * 65536)
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(attend, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"


def with_connection(
    url: str, tmp_path: Path, work: Callable[[Connection], Awaitable[Any]], **more: Any
) -> Awaitable[Any]:
    async def run() -> Any:
        entry = Entry(name="remote", url=url, **{"timeout_seconds": 10.0} | more)
        connection = Connection(entry, Setting(environ={"TOKEN": "t0k"}, workspace=tmp_path))
        try:
            return await work(connection)
        finally:
            await connection.close()

    return run()


def test_the_sdks_own_server_is_served_with_a_token_from_the_environment(tmp_path: Path) -> None:
    server = MCPServer("remote")
    seen: list[str] = []

    @server.tool()
    def double(number: int) -> int:
        """Twice a number."""
        return 2 * number

    inner = server.streamable_http_app()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(dict(scope["headers"]).get(b"authorization", b"").decode())
        await inner(scope, receive, send)

    async def work(connection: Connection) -> str:
        assert [tool.name for tool in (await connection.offer()).tools] == ["double"]
        result = await connection.call("double", {"number": 21})
        return str(result.content[0].text)

    async def run() -> str:
        async with serving(app) as url:
            headers = {"Authorization": "Bearer ${TOKEN}"}
            return str(await with_connection(url, tmp_path, work, headers=headers))

    assert asyncio.run(run()) == "42"
    assert set(seen) == {"Bearer t0k"}


INITIALIZED = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "x", "version": "1"},
}


def honest_until_listing(then: tuple[dict[str, str], bytes | None]) -> Reply:
    def reply(message: dict[str, Any]) -> tuple[dict[str, str], bytes | None]:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message.get("id")}
        match message.get("method"):
            case "initialize":
                answer["result"] = INITIALIZED
            case "tools/list":
                return then
            case _:
                answer["error"] = {"code": -32601, "message": "no"}
        return {"content-type": "application/json"}, json.dumps(answer).encode()

    return reply


BOMB = gzip.compress(b'{"jsonrpc":"2.0"}' + b" " * (4 << 20))


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (({"content-type": "application/json"}, None), "longer than 32 MiB"),
        (({"content-type": "application/json", "content-encoding": "gzip"}, BOMB), "compressed"),
        (({"content-type": "application/json"}, b"not json"), "remote"),
        (({"content-type": "text/html"}, b"<html>"), "remote"),
    ],
    ids=["never-ending", "gzip bomb", "no JSON", "a web page"],
)
def test_an_answer_that_is_none_is_a_clear_message(
    tmp_path: Path, then: tuple[dict[str, str], bytes | None], said: str
) -> None:
    async def run() -> None:
        async with answering(honest_until_listing(then)) as url:
            await with_connection(url, tmp_path, Connection.offer, timeout_seconds=60.0)

    with pytest.raises(ServerUnavailable, match=said):
        asyncio.run(run())


def test_an_address_where_nobody_listens_is_a_clear_message(tmp_path: Path) -> None:
    async def run() -> None:
        await with_connection("http://127.0.0.1:9/mcp", tmp_path, Connection.offer)

    with pytest.raises(ServerUnavailable, match="MCP server 'remote' cannot be used"):
        asyncio.run(run())


def test_a_wrong_token_is_named(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for word in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{word}.complete"})
            return
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"who are you?"})

    async def run() -> str:
        async with serving(app) as url:
            with pytest.raises(ServerUnavailable) as raised:
                await with_connection(url, tmp_path, lambda connection: connection.offer())
        return f"{raised.value.cause} {raised.value.remedy}"

    said = asyncio.run(run())
    assert "It answered 401, as to a wrong or missing token." in said
    assert "the headers that its entry sends" in said


def test_a_server_that_comes_back_is_connected_with_again(tmp_path: Path) -> None:
    server = MCPServer("remote")

    @server.tool()
    def double(number: int) -> int:
        """Twice a number."""
        return 2 * number

    inner, is_there = server.streamable_http_app(), [False]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not is_there[0]:
            raise ConnectionError("away")
        await inner(scope, receive, send)

    async def work(connection: Connection) -> str:
        for _ in range(6):
            with pytest.raises(ServerUnavailable):
                await connection.call("double", {"number": 1})
        is_there[0] = True
        result = await connection.call("double", {"number": 21})
        return str(result.content[0].text)

    async def run() -> str:
        async with serving(app) as url:
            return str(await with_connection(url, tmp_path, work))

    assert asyncio.run(run()) == "42"
