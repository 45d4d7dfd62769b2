"""What the filtering proxy costs: requests and a download, through it and direct.

    python bench/egress.py

Client, server and proxy are three processes on this machine. The client is not in a box, where a
direct connection cannot be had, so that only the proxy makes the difference. The last rows say
what a busy proxy does to the calls of its box, since both share an event loop.
"""

import asyncio
import contextlib
import http.client
import http.server
import json
import multiprocessing
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from wardian_sandbox import Confinement, Egress, EgressProxy, open_sandbox

WARM = 50
NEAR = 0.005
"""Seconds that a server takes to answer which is neither this machine nor far away."""
SIZES = {"100 bytes, 5 ms away": (100, 200), "100 bytes": (100, 200), "64 KiB": (64 << 10, 200),
         "1 MiB": (1 << 20, 50), "64 MiB": (64 << 20, 5)}  # fmt: skip
"""name: bytes, rounds"""
BLOCK = bytes(1 << 18)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        what, _, seconds = self.path[1:].partition("-")
        size = int(what)
        time.sleep(float(seconds or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the box is closed in the middle of it
            for at in range(0, size, len(BLOCK)):
                self.wfile.write(BLOCK[: size - at])

    def log_message(self, *_: object) -> None:
        pass


def fetch(
    proxy: int | None, port: int, size: int, context: ssl.SSLContext | None, away: float
) -> float:
    """Seconds of one GET with a connection of its own."""
    path = f"/{size}-{away}"
    began = time.perf_counter()
    connection: http.client.HTTPConnection
    if context:
        connection = http.client.HTTPSConnection("127.0.0.1", proxy or port, context=context)
        if proxy:
            connection.set_tunnel("127.0.0.1", port)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", proxy or port)
    is_absolute = proxy and not context
    connection.request("GET", f"http://127.0.0.1:{port}{path}" if is_absolute else path)
    answer = connection.getresponse()
    assert answer.status == 200, answer.reason
    got = 0
    while part := answer.read(1 << 18):
        got += len(part)
    connection.close()
    assert got == size
    return time.perf_counter() - began


def compare(proxy: int, ports: list[int]) -> dict[str, list[float]]:
    """Milliseconds, direct and through, turn about: both meet the machine's moods.

    Medians, then the least of each, which others' work disturbs less.
    """
    found: dict[str, list[float]] = {}
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    for scheme, port, context in zip(("http", "https"), ports, (None, trusting), strict=True):
        for name, (size, rounds) in SIZES.items():
            away = NEAR if "away" in name else 0.0
            for way in (None, proxy):
                fetch(way, port, size, context, away)
            pairs = [
                [fetch(way, port, size, context, away) for way in (None, proxy)]
                for _ in range(rounds)
            ]
            sides = [*zip(*pairs, strict=True)]
            found[f"{scheme}, {name}"] = [
                1e3 * of(side) for of in (statistics.median, min) for side in sides
            ]
    return found


def serve(port: Connection, certificate: str | None) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    port.send(server.server_port)
    server.serve_forever()


def start_server(certificate: str | None = None) -> int:
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    spawn.Process(target=serve, args=(theirs, certificate), daemon=True).start()
    port: int = ours.recv()
    return port


def make_certificate(folder: str) -> str:
    """A key and a certificate in one file."""
    path = f"{folder}/server.pem"
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x")
    subprocess.run(
        ["openssl", "req", "-x509", *new, "-keyout", path, "-out", f"{path}.crt"],
        check=True,
        capture_output=True,
    )
    with Path(path).open("a") as file:
        file.write(Path(f"{path}.crt").read_text())
    return path


async def start_proxy(egress: Egress) -> tuple[EgressProxy, int]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 10)  # as in a box
    listener.setblocking(False)
    proxy = EgressProxy(egress)
    proxy.serve(listener)
    return proxy, listener.getsockname()[1]


async def median_call(egress: Egress, command: str) -> float:
    """Milliseconds of a warm `1+1` while the box runs a command."""
    within = Confinement(egress=egress)
    with tempfile.TemporaryDirectory() as folder:
        async with await open_sandbox("bubblewrap", Path(folder), within) as box:
            await box.python("1+1", within)
            running = asyncio.create_task(box.shell(command, within))
            await asyncio.sleep(0.5)
            times: list[float] = []
            for _ in range(WARM):
                began = time.perf_counter()
                await box.python("1+1", within)
                times.append(time.perf_counter() - began)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    return statistics.median(times) * 1e3


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ports = [start_server(), start_server(make_certificate(folder))]
    port = ports[0]
    egress = Egress(hosts=tuple(f"127.0.0.1:{port}" for port in ports))
    proxy, place = await start_proxy(egress)
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, str(place), *map(str, ports)), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await client.communicate()
    await proxy.close()
    print(f"{'milliseconds':28} {'':8} median {'':8} | {'':8} least")
    print(f"{'':28}" + f" {'direct':>8} {'proxy':>8} {'ratio':>6} |" * 2)
    for name, (direct, through, least, least_through) in json.loads(printed).items():
        figures = f"{direct:8.2f} {through:8.2f} {through / direct:6.2f} | "
        figures += f"{least:8.2f} {least_through:8.2f} {least_through / least:6.2f} |"
        print(f"{name:28} {figures}")
    url = f"http://127.0.0.1:{port}/{1 << 36}"
    busy = f"curl -s --noproxy '' {url} > /dev/null"
    print(f"{'1+1, box idle':28} {await median_call(egress, 'sleep 60'):8.2f}")
    print(f"{'1+1, box downloading':28} {await median_call(egress, busy):8.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        proxy, *ports = map(int, sys.argv[1:])
        print(json.dumps(compare(proxy, ports)))
    else:
        asyncio.run(main())
