"""The sandboxed tools for other programs, over the Model Context Protocol.

Covers: standard streams, and streamable HTTP on this machine's loopback behind a token. Where the
policy asks, the program's own user is asked if the program can (elicitation); else the call is
refused. Does not cover: who that user is. Whoever can start this program, or has the token, may
call what the policy allows.
"""

import asyncio
import hmac
import secrets
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

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
QUESTION = "allow"
ALLOW: dict[str, Any] = {
    "type": "object",
    "properties": {"allow": {"type": "boolean", "title": "Let it run, this once"}},
    "required": ["allow"],
}
Work = asyncio.Task[ToolResult]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def make_server(session: Session) -> Server[Any]:
    """A server whose calls are the session's."""
    calls = Calls(session)

    async def list_tools(
        context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        await asyncio.sleep(0)
        return types.ListToolsResult(tools=[as_mcp(tool) for tool in session.offered])

    async def call_tool(
        context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        if session.tools.get(params.name) is None:
            raise MCPError(types.INVALID_PARAMS, f"There is no tool {plain(params.name)[:64]!r}.")
        return await calls.answer(context, params)

    return Server(
        "wardian",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


class Calls:
    """Calls under way, those too whose user is being asked between one request and the next."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._asked: dict[str, tuple[types.CallToolRequestParams, Asking, Work]] = {}

    async def answer(
        self, context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        """The call's result; or the question that its user has to answer first."""
        if params.request_state is None:
            asking = Asking(context)
            call = self._session.call(params.name, params.arguments or {}, asking.ask)
            work = asyncio.create_task(call)
        else:
            asking, work = self._taken_up(params.request_state, params)
            asking.hear((params.input_responses or {}).get(QUESTION))
        question = asyncio.create_task(asking.question.get())
        try:
            await asyncio.wait((work, question), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            work.cancel()
            raise
        finally:
            question.cancel()
        if work.done():
            return as_result(work.result(), asking)
        state = secrets.token_urlsafe()
        self._asked[state] = (params, asking, work)
        work.add_done_callback(lambda _: self._asked.pop(state, None))
        return types.InputRequiredResult(
            input_requests={QUESTION: question.result()}, request_state=state
        )

    def _taken_up(self, state: str, params: types.CallToolRequestParams) -> "tuple[Asking, Work]":
        asked, asking, work = self._asked.pop(state, (None, None, None))
        if asked is None or asking is None or work is None:
            raise MCPError(types.INVALID_PARAMS, "That question was answered, or is too old.")
        if (asked.name, asked.arguments) != (params.name, params.arguments):
            work.cancel()
            raise MCPError(types.INVALID_PARAMS, "The question was about another call.")
        return asking, work


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
    denied = result.status is ResultStatus.DENIED
    text = asking.nobody if denied and asking.nobody else result.content
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        is_error=result.status is not ResultStatus.OK,
    )


@dataclass(slots=True)
class Asking:
    """Asks the user of the program that calls.

    Up to protocol 2025-11-25 by a request of ours; since then by an answer that asks, after which
    the same call comes again with what the user said.
    """

    context: ServerRequestContext[Any]
    nobody: str = ""
    """Why nobody could be asked."""
    question: "asyncio.Queue[types.ElicitRequest]" = field(
        default_factory=asyncio.Queue[types.ElicitRequest]
    )
    """What to answer the request with instead of a result."""
    _said: "asyncio.Future[object] | None" = None

    async def ask(self, ask: Ask, call: ToolCall) -> bool:
        if not self._can_ask():
            self.nobody = (
                f"Not run: the policy asks ({ask.rule.text}, {ask.rule.source}), and this client "
                "has no way to ask its user (elicitation)."
            )
            return False
        text = f"{plain(ask.question)}\n\n{call.name} {plain(call.arguments_text)}"
        try:
            async with asyncio.timeout(ASK_SECONDS):
                answer = await self._answer(text)
        except (TimeoutError, MCPError) as error:
            self.nobody = f"Not run: the policy asks, and nobody answered ({type(error).__name__})."
            return False
        if not isinstance(answer, types.ElicitResult):
            return False
        return answer.action == "accept" and (answer.content or {}).get("allow") is True

    async def _answer(self, text: str) -> object:
        if self.context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            request_id = self.context.request_id
            return await self.context.session.elicit_form(text, ALLOW, request_id)
        self._said = asyncio.get_running_loop().create_future()
        form = types.ElicitRequestFormParams(message=text, requested_schema=ALLOW)
        self.question.put_nowait(types.ElicitRequest(params=form))
        return await self._said

    def hear(self, answer: object) -> None:
        """What the user said, as it came with the call's next request."""
        if self._said is not None and not self._said.done():
            self._said.set_result(answer)

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


def listener_on(port: int) -> socket.socket:
    """A socket that listens on this machine's loopback; 0 is any port. Raises: OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


async def serve_http(
    session: Session, listener: socket.socket, token: str, ready: Callable[[int], None]
) -> None:
    """Until cancelled; closes the listener. `ready` gets its port."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Generator[None]:
            """They are the command's: uvicorn would wait until the last stream is closed."""
            yield

    with listener:
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
        server = Server(config)
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
