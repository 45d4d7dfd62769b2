"""What `web_fetch` costs beside a bare client: pages of a server on this machine.

    python bench/web.py

`bare` is one GET by httpx2 with a connection of its own, nothing read of the body. `web_fetch` is a
call of the tool as the loop makes it: through the proxy, in a process of its own, read as Markdown.
"""

import asyncio
import http.server
import json
import multiprocessing
import ssl
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2

from wardian_sandbox import Confinement, Egress, open_sandbox
from wardian_tools import Registry, ToolCall, ToolContext, ToolResult, run_call, web_tools

ROUNDS = 30
TRUSTING = ssl.create_default_context()
"""Made once, as by `web_fetch`: it costs more than a page."""
SENTENCE = (
    "The red fox is the largest of the true foxes and lives on most of the northern hemisphere. "
)
PARAGRAPH = f"<p>{SENTENCE * 4}</p>\n"
BODIES = {
    "plain text, 1 KB": ("text/plain", b"word " * 200),
    "HTML, 4 KB": ("text/html", b""),
    "HTML, 100 KB": ("text/html", b""),
    "plain text, 1 MB": ("text/plain", b"word " * 200_000),
}


def page(size: int) -> bytes:
    body = "".join(PARAGRAPH.replace("fox", f"fox {n}") for n in range(size // len(PARAGRAPH)))
    return (
        f"<html><body><nav>menu</nav><article><h1>Fox</h1>{body}</article></body></html>".encode()
    )


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        index = self.path.split("/")[1]
        if not index.isdecimal():
            self.send_error(404)
            return
        kind, body = [*BODIES.values()][int(index)]
        size = 4_000 if index == "1" else 100_000
        body = body or page(size)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def serve(port: Connection) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_port)
    server.serve_forever()


def bare(url: str) -> float:
    began = time.perf_counter()
    with httpx2.Client(trust_env=False, verify=TRUSTING) as client:
        assert client.get(url).status_code == 200
    return time.perf_counter() - began


async def main() -> None:
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    spawn.Process(target=serve, args=(theirs,), daemon=True).start()
    base = f"127.0.0.1:{ours.recv()}"
    within = Confinement(egress=Egress(hosts=(base,)))
    registry = Registry(web_tools())
    tool = registry.get("web_fetch")
    assert tool is not None

    async def fetch(url: str) -> tuple[ToolResult, float]:
        text = json.dumps({"url": url})
        call = registry.parse(ToolCall(id="c", name="web_fetch", arguments_text=text))
        began = time.perf_counter()
        result = await run_call(tool, call, ToolContext(sandbox=box, within=within, call_id="c"))
        return result, time.perf_counter() - began

    with tempfile.TemporaryDirectory() as folder:
        async with await open_sandbox("bubblewrap", Path(folder), Confinement()) as box:
            _, seconds = await fetch(f"http://{base}/0/first")
            print(f"{'first page of a run':22} {seconds * 1e3:8.1f} ms")
            print(f"{'milliseconds, median':22} {'bare':>8} {'web_fetch':>10} {'least':>8}")
            for index, name in enumerate(BODIES):
                url = f"http://{base}/{index}/"
                times = [(bare(url), await fetch(f"{url}{n}")) for n in range(ROUNDS)]
                assert all(result.status == "ok" for _, (result, _) in times)
                plain = statistics.median(time for time, _ in times) * 1e3
                tooled = [seconds * 1e3 for _, (_, seconds) in times]
                figures = f"{plain:8.1f} {statistics.median(tooled):10.1f} {min(tooled):8.1f}"
                print(f"{name:22} {figures}")
            _, seconds = await fetch(f"http://{base}/3/{ROUNDS - 1}")
            print(f"{'the same page again':22} {seconds * 1e3:8.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
