"""The sandboxed tools for other programs, over the Model Context Protocol.

Covers: standard streams, and streamable HTTP on this machine's loopback behind a token. Where the
policy asks, the program's own user is asked if the program can (elicitation); else the call is
refused. Does not cover: who that user is. Whoever can start this program, or has the token, may
call what the policy allows.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError

from wardian._version import __version__
from wardian.serve.mcp_session import Session
from wardian_policies.types import Ask
from wardian_tools.mcp.definitions import plain
from wardian_tools.types import Effect, ResultStatus, Tool, ToolCall, ToolResult

HOST = "127.0.0.1"
PATH = "/mcp"
ASK_SECONDS = 300.0
MAX_BODY_BYTES = 4 << 20
INSTRUCTIONS = (
    "Tools that run in a sandbox around one workspace folder. Calls may be refused by a policy; the"
    " result then says so, and repeating the call does not help."
)
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def make_server(session: Session) -> Server[Any]:
    """A server whose calls are the session's."""

    async def list_tools(
        context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        await asyncio.sleep(0)
        return types.ListToolsResult(tools=[as_mcp(tool) for tool in session.tools])

    async def call_tool(
        context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        if session.tools.get(params.name) is None:
            raise MCPError(types.INVALID_PARAMS, f"There is no tool {plain(params.name)[:64]!r}.")
        asking = Asking(context)
        result = await session.call(params.name, params.arguments or {}, asking.ask)
        return as_result(result, asking)

    return Server(
        "wardian",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def as_mcp(tool: Tool) -> types.Tool:
    changes = bool(tool.effects - {Effect.READS})
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=tool.parameters,
        annotations=types.ToolAnnotations(
            read_only_hint=tool.read_only,
            destructive_hint=changes,
            idempotent_hint=tool.idempotent,
            open_world_hint=Effect.EGRESS in tool.effects,
        ),
    )


def as_result(result: ToolResult, asking: "Asking") -> types.CallToolResult:
    text = result.content
    if result.status is ResultStatus.DENIED and asking.nobody:
        text = f"{text} {asking.nobody}"
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        is_error=result.status is not ResultStatus.OK,
    )


@dataclass(slots=True)
class Asking:
    """Asks the user of the program that calls."""

    context: ServerRequestContext[Any]
    nobody: str = ""
    """Why nobody could be asked."""

    async def ask(self, ask: Ask, call: ToolCall) -> bool:
        if not self._can_ask():
            self.nobody = (
                f"The policy asks ({ask.rule.text}, {ask.rule.source}), and this client has no way "
                "to ask its user (elicitation)."
            )
            return False
        question = f"{plain(ask.question)}\n\n{call.name} {plain(call.arguments_text)}"
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {"allow": {"type": "boolean", "title": "Let it run, this once"}},
            "required": ["allow"],
        }
        try:
            async with asyncio.timeout(ASK_SECONDS):
                answer = await self.context.session.elicit_form(
                    question, schema, self.context.request_id
                )
        except (TimeoutError, MCPError) as error:
            self.nobody = f"The policy asks, and nobody answered ({type(error).__name__})."
            return False
        return answer.action == "accept" and (answer.content or {}).get("allow") is True

    def _can_ask(self) -> bool:
        wanted = types.ClientCapabilities(elicitation=types.ElicitationCapability())
        return self.context.session.check_client_capability(wanted)


async def serve_stdio(session: Session) -> None:
    """Until the other program closes our standard input."""
    server = make_server(session)
    try:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())
    finally:
        await session.close()


async def serve_http(session: Session, port: int, token: str, ready: Callable[[int], None]) -> None:
    """Until cancelled. `ready` gets the port; 0 was any that is free. Raises: OSError."""
    import socket

    import uvicorn

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        port = listener.getsockname()[1]
        hosts = [f"{name}:{port}" for name in (HOST, "localhost")]
        security = TransportSecuritySettings(
            allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts]
        )
        manager = StreamableHTTPSessionManager(
            make_server(session), security_settings=security, max_request_body_size=MAX_BODY_BYTES
        )
        app = guarded(manager.handle_request, token)
        config = uvicorn.Config(app, log_level="critical", lifespan="off", access_log=False)
        server = uvicorn.Server(config)
        try:
            async with manager.run():
                ready(port)
                await server.serve(sockets=[listener])
        finally:
            await session.close()


def guarded(app: Asgi, token: str) -> Asgi:
    """The app for requests that carry the token; 401 for all others, 404 off its path."""
    wanted = f"Bearer {token}".encode()

    async def guard(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, wanted):
            await _refuse(send, 401, [(b"www-authenticate", b"Bearer")])
        elif scope["path"].rstrip("/") != PATH:
            await _refuse(send, 404, [])
        else:
            await app(scope, receive, send)

    return guard


async def _refuse(send: Any, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    length = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers + length})
    await send({"type": "http.response.body", "body": b""})
