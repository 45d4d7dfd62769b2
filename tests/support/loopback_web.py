"""A web of two servers on loopback, and a run's box from which its tools look at it.

`Site` serves what a test puts up, over HTTP and TLS, under names that only its resolver knows;
`Browser` makes calls of the web tools as the loop does.
"""

import asyncio
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from wardian_sandbox import Confinement, Egress, EgressEvent, ResourceLimits, open_sandbox
from wardian_tools import (
    Registry,
    SearchEngine,
    ToolCall,
    ToolContext,
    ToolResult,
    run_call,
    web_tools,
)

Body = bytes | Iterable[bytes]
CALL_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered; a body in pieces has no length and may never end."""

    body: Body = b""
    status: int = 200
    type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Answering = Callable[[Asked], Reply]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    site: "Site"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        asked = Asked(
            method=self.command,
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )
        self.site.asked.append(asked)
        self.answer(self.site.reply_to(asked))

    def do_POST(self) -> None:
        self.do_GET()

    def answer(self, reply: Reply) -> None:
        self.close_connection = True
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        try:
            for piece in [reply.body] if isinstance(reply.body, bytes) else reply.body:
                self.wfile.write(piece)
        except OSError:
            pass  # a client that had enough

    def log_message(self, *_: object) -> None: ...


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Clients that go away are part of the tests."""


class Site:
    """What there is on the web."""

    def __init__(self, folder: Path, certify: Callable[[Path], None]) -> None:
        """`certify` is `make_certificates` of tests/support/outside.py."""
        self.folder = folder
        self.pages: dict[str, Reply | Answering] = {}
        """By path, without what follows a question mark."""
        self.asked: list[Asked] = []
        self.names: dict[str, Sequence[str]] = {"good.example": ["127.0.0.1"]}
        """What the resolver answers; certificates are for *.below.example too."""
        self._certify = certify
        self._servers: list[Server] = []

    def __enter__(self) -> Self:
        self._certify(self.folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "leaf.pem", self.folder / "leaf.key")
        for secure in (False, True):
            server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"site": self}))
            if secure:
                server.socket = context.wrap_socket(
                    server.socket, server_side=True, do_handshake_on_connect=False
                )
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def http(self) -> int:
        return self._servers[0].server_port

    @property
    def tls(self) -> int:
        return self._servers[1].server_port

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"

    def url(self, path: str, host: str = "good.example", *, secure: bool = False) -> str:
        port = self.tls if secure else self.http
        return f"http{'s' if secure else ''}://{host}:{port}{path}"

    def put(self, path: str, reply: Reply | Answering | bytes | str) -> str:
        """Put up a page; gives its URL."""
        if isinstance(reply, str):
            reply = reply.encode()
        self.pages[path] = Reply(body=reply) if isinstance(reply, bytes) else reply
        return self.url(path)

    def reply_to(self, asked: Asked) -> Reply:
        page = self.pages.get(asked.path.partition("?")[0])
        if page is None:
            return Reply(body=b"not here", status=404, type="text/plain")
        return page if isinstance(page, Reply) else page(asked)

    async def resolve(self, name: str) -> Sequence[str]:
        if name not in self.names:
            raise OSError(f"no such host: {name}")
        return self.names[name]

    def egress(self, *hosts: str, **more: Any) -> Egress:
        """The hosts on both ports, and the loopback that they lead to, by its exact ports."""
        ports = (self.http, self.tls)
        listed = [f"{name}:{port}" for name in (*hosts, "127.0.0.1") for port in ports]
        return Egress(hosts=tuple(listed), **more)


class Browser:
    """A run's box, in an event loop of its own, from which the web tools are called."""

    def __init__(
        self, folder: Path, site: Site, egress: Egress, backend: str = "bubblewrap"
    ) -> None:
        self.events: list[EgressEvent] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.within = Confinement(egress=egress, limits=ResourceLimits(wall_seconds=60.0))
        self.box = self._run(
            open_sandbox(
                backend, folder, Confinement(), on_egress=self.events.append, resolve=site.resolve
            )
        )

    def fetch(self, url: str, egress: Egress | None = None, **more: Any) -> ToolResult:
        return self.call("web_fetch", {"url": url, **more}, egress)

    def search(self, query: str, engine: SearchEngine, **more: Any) -> ToolResult:
        return self.call("web_search", {"query": query, **more}, engine=engine)

    def call(
        self,
        name: str,
        arguments: dict[str, Any],
        egress: Egress | None = None,
        engine: SearchEngine | None = None,
        seconds: float | None = None,
    ) -> ToolResult:
        registry = Registry(web_tools(engine or SearchEngine()))
        tool = registry.get(name)
        assert tool is not None
        call = registry.parse(ToolCall(id="c", name=name, arguments_text=json.dumps(arguments)))
        within = self.within if egress is None else replace(self.within, egress=egress)
        if seconds is not None:
            within = replace(within, limits=replace(within.limits, wall_seconds=seconds))
        context = ToolContext(sandbox=self.box, within=within, call_id="c")
        result: ToolResult = self._run(run_call(tool, call, context))
        return result

    def close(self) -> None:
        self._run(self.box.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS)
