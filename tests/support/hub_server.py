"""A server on loopback that speaks as much of the Hugging Face hub's API as pulling a model takes.

Real sockets, real ranges: the hub's own client talks to it.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer:
    """One repository, `owner/model`, with these files."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.break_after: list[int] = []
        """Each GET of a file breaks off after so many bytes, as long as this lasts."""
        self.served: dict[str, bytes] = {}
        """Content sent in place of what was promised."""
        self.gated = False
        self.asked: list[tuple[str, str, str]] = []
        """Method, path, range"""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.respond(self, has_body=True)

            def do_HEAD(self) -> None:
                server.respond(self, has_body=False)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def respond(self, request: BaseHTTPRequestHandler, *, has_body: bool) -> None:
        parts = urlsplit(request.path)
        path = unquote(parts.path)
        self.asked.append((request.command, path, request.headers.get("range", "")))
        if path == "/api/models":
            self._json(request, self._search(parse_qs(parts.query)))
        elif path.startswith("/api/models/owner/model"):
            self._json(request, self._info())
        elif path.startswith("/owner/model/resolve/") and self.gated:
            self._refuse(request, 403, "GatedRepo")
        elif path.startswith(f"/owner/model/resolve/{COMMIT}/"):
            self._file(request, path.rpartition(f"/{COMMIT}/")[2], has_body=has_body)
        else:
            self._refuse(request, 404, "RepoNotFound")

    def _search(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        wanted = query.get("search", [""])[0]
        known = {"id": "owner/model", "downloads": 1234, "likes": 1, "gated": False, "tags": []}
        return [known] if wanted in "owner/model" else []

    def _info(self) -> dict[str, Any]:
        siblings = [
            {
                "rfilename": name,
                "size": len(content),
                "blobId": "b" * 40,
                "lfs": {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "size": len(content),
                    "pointerSize": 134,
                },
            }
            for name, content in self.files.items()
        ]
        return {"id": "owner/model", "sha": COMMIT, "siblings": siblings, "tags": ["gguf"]}

    def _file(self, request: BaseHTTPRequestHandler, name: str, *, has_body: bool) -> None:
        if name not in self.files:
            self._refuse(request, 404, "EntryNotFound")
            return
        promised = self.files[name]
        content = self.served.get(name, promised)
        begin = 0
        if wanted := request.headers.get("range", ""):
            begin = int(wanted.removeprefix("bytes=").partition("-")[0])
        request.send_response(206 if begin else 200)
        request.send_header("X-Repo-Commit", COMMIT)
        request.send_header("ETag", f'"{hashlib.sha256(promised).hexdigest()}"')
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Content-Length", str(len(content) - begin))
        if begin:
            request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        if not has_body:
            return
        body = content[begin:]
        if self.break_after:
            body = body[: self.break_after.pop(0)]
            request.close_connection = True
        request.wfile.write(body)

    def _json(self, request: BaseHTTPRequestHandler, value: Any) -> None:
        body = json.dumps(value).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _refuse(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        request.send_response(status)
        request.send_header("X-Error-Code", code)
        request.send_header("X-Error-Message", "no")
        request.send_header("Content-Length", "0")
        request.end_headers()
