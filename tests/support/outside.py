"""Servers on loopback that stand for the internet, and boxes that may reach some of them.

`Outside` serves HTTP and TLS under names that only its own resolver knows; `Guest` is one open box
with an event loop of its own, so that the tests of a module can share it.
"""

import asyncio
import http.server
import queue
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from wardian_sandbox import (
    Confinement,
    Egress,
    EgressEvent,
    ExecResult,
    ResourceLimits,
    SupervisedSandbox,
    open_sandbox,
)
from wardian_sandbox.egress.dialling import Resolve

T = TypeVar("T")
BLOCK = bytes(range(256)) * 256
NAMES = ("DNS:good.example", "DNS:other.example", "DNS:*.below.example", "IP:127.0.0.1")
PATIENCE_SECONDS = 60.0


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /bytes/N, /redirect?to=URL, anything; POST gives back what it got."""

    protocol_version = "HTTP/1.1"
    outside: "Outside"

    def do_GET(self) -> None:
        self.outside.seen.append((self.command, self.path, self.headers.get("Host", "")))
        url = urlsplit(self.path)
        if url.path.startswith("/bytes/"):
            self.stream(int(url.path.rpartition("/")[2]))
        elif url.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", parse_qs(url.query)["to"][0])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif url.path in self.outside.pages:
            self.answer(self.outside.pages[url.path], "text/html" if url.path[-1] == "/" else "")
        else:
            self.answer(f"hello {self.path}".encode())

    def do_POST(self) -> None:
        self.outside.seen.append((self.command, self.path, self.headers.get("Host", "")))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(body)

    def answer(self, body: bytes, kind: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind or "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, size: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        while size > 0:
            self.wfile.write(BLOCK[:size])
            size -= len(BLOCK)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Clients that go away are part of the tests."""


class RawServer:
    """Keeps every byte it is sent, and gives one answer to each connection."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

    def __init__(self) -> None:
        self._received: queue.Queue[bytes] = queue.Queue()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def next(self) -> bytes:
        """Everything that the next connection sent."""
        return self._received.get(timeout=PATIENCE_SECONDS)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self._received.put(self._hear(client))

    def _hear(self, client: socket.socket) -> bytes:
        client.settimeout(PATIENCE_SECONDS)
        got = b""
        try:
            got = client.recv(65536)
            client.sendall(self.ANSWER)
            client.shutdown(socket.SHUT_WR)
            while more := client.recv(65536):
                got += more
        except OSError:
            pass
        return got


@dataclass(slots=True)
class Outside:
    """What there is to reach."""

    folder: Path
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, path, Host) of every HTTP request that came through."""
    pages: dict[str, bytes] = field(default_factory=dict)
    lookups: list[str] = field(default_factory=list)
    names: dict[str, Sequence[str]] = field(default_factory=dict)
    """What the resolver answers."""
    servers: list[Server] = field(default_factory=list)
    raw: RawServer = field(default_factory=RawServer)

    def __enter__(self) -> Self:
        make_certificates(self.folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "leaf.pem", self.folder / "leaf.key")
        for secure in (False, True):
            kind = type("Bound", (Handler,), {"outside": self})
            server = Server(("127.0.0.1", 0), kind)
            if secure:
                server.socket = context.wrap_socket(
                    server.socket, server_side=True, do_handshake_on_connect=False
                )
            self.servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        for name in ("good.example", "other.example", "sub.below.example", "below.example"):
            self.names[name] = ["127.0.0.1"]
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.raw.close()

    @property
    def http(self) -> int:
        return self.servers[0].server_port

    @property
    def tls(self) -> int:
        return self.servers[1].server_port

    @property
    def authority(self) -> str:
        """The certificate that a client must trust, as PEM."""
        return (self.folder / "authority.pem").read_text()

    async def resolve(self, name: str) -> Sequence[str]:
        self.lookups.append(name)
        if name not in self.names:
            raise OSError(f"no such host: {name}")
        return self.names[name]

    def egress(self, *hosts: str, **more: Any) -> Egress:
        """The listed hosts on every port there is; the loopback they lead to is listed too."""
        names = hosts or ("good.example", "*.below.example")
        ports = (self.http, self.tls, self.raw.port)
        listed = [f"{name}:{port}" for name in (*names, "127.0.0.1") for port in ports]
        return Egress(hosts=tuple(listed), **more)


def make_certificates(folder: Path) -> None:
    """An authority, and a leaf for the names that are served."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    usages = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
    extensions = [word for usage in usages for word in ("-addext", usage)]
    named = ("-subj", "/CN=Test authority", "-days", "2")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "authority.pem", *named, *extensions)
    openssl("req", *new, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=leaf")
    (folder / "leaf.ext").write_text(
        f"subjectAltName={','.join(NAMES)}\nbasicConstraints=CA:FALSE\n"
        "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    )
    signed = ("-CA", "authority.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    openssl("x509", "-req", "-in", "leaf.csr", *signed, "-out", "leaf.pem", "-extfile", "leaf.ext")


class Guest:
    """An open box whose calls any thread may make, and what its proxy said."""

    def __init__(
        self, backend: str, folder: Path, outside: "Outside | Resolve", egress: Egress
    ) -> None:
        resolve = outside.resolve if isinstance(outside, Outside) else outside
        self.folder = folder
        self.events: list[EgressEvent] = []
        self._news = threading.Condition()
        self.within = Confinement(egress=egress, limits=ResourceLimits(wall_seconds=60.0))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.box: SupervisedSandbox = self.run(
            lambda: open_sandbox(
                backend,
                folder,
                self.within,
                on_egress=self._note,
                resolve=resolve,
            )
        )

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(300)

    def python(self, code: str) -> ExecResult:
        return self.run(lambda: self.box.python(code, self.within))

    def is_fine(self) -> None:
        """The control of attacks on its proxy: an ordinary request goes through."""
        assert self.value("get(f'http://{GOOD}/fine')").endswith(b"\r\n\r\nhello /fine")

    def shell(self, command: str) -> ExecResult:
        return self.run(lambda: self.box.shell(command, self.within))

    def value(self, code: str) -> Any:
        """Of the last expression, a literal."""
        import ast

        result = self.python(code)
        assert result.value is not None, result
        return ast.literal_eval(result.value)

    def told(self, outcome: str, since: int = 0) -> list[EgressEvent]:
        """The events of one outcome; waits for the first, which may come after the answer did."""

        def found() -> list[EgressEvent]:
            return [event for event in self.events[since:] if event.outcome == outcome]

        with self._news:
            return self._news.wait_for(found, PATIENCE_SECONDS)

    def _note(self, event: EgressEvent) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def close(self) -> None:
        self.run(self.box.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


CLIENT = '''
import socket, ssl, struct

def connect():
    return socket.create_connection(("127.0.0.1", 3128), 30)

def rest(s):
    got = b""
    try:
        while more := s.recv(65536): got += more
    except ConnectionResetError: pass
    return got

def say(*parts):
    """What the proxy answers to these bytes."""
    with connect() as s:
        for part in parts: s.sendall(part)
        return rest(s)

def get(url, *headers, host=None, method="GET", body=b""):
    authority = url.split("/")[2] if host is None else host
    lines = [f"{method} {url} HTTP/1.1", f"Host: {authority}", *headers, "", ""]
    return say("\\r\\n".join(lines).encode("latin-1") + body)

def tunnel(authority, *more):
    """A socket with a tunnel opened on it, and the proxy's answer."""
    s = connect()
    s.sendall(f"CONNECT {authority} HTTP/1.1\\r\\nHost: {authority}\\r\\n\\r\\n".encode())
    return s, s.recv(4096)

def hello(name):
    """The ClientHello that OpenSSL sends for this name."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try: tls.do_handshake()
    except ssl.SSLWantReadError: pass
    return outgoing.read()

def talk_tls(authority, name, request, trusted, check=True):
    """What an HTTPS server says through a tunnel."""
    s, answer = tunnel(authority)
    if b" 200 " not in answer: return answer
    context = ssl.create_default_context(cadata=trusted)
    context.check_hostname = check
    try:
        with context.wrap_socket(s, server_hostname=name) as tls:
            tls.sendall(request)
            return rest(tls)
    except (ssl.SSLError, OSError) as problem:
        return str(problem).encode()
'''


def addresses(mapping: Mapping[str, Sequence[str]]) -> Resolve:
    """A resolver that knows these names."""

    async def resolve(name: str) -> Sequence[str]:
        if name not in mapping:
            raise OSError(f"no such host: {name}")
        return mapping[name]

    return resolve
