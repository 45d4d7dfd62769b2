"""One GET through the proxy, its body bounded in bytes and time, compressed or not."""

import functools
import ssl
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import httpx2

from wardian_sandbox.jobs.worker import Way

USER_AGENT = "Wardian (an agent that acts for one person)"
ROBOT = "wardian"
"""The name in robots.txt."""
IDLE_SECONDS = 15.0
PIECE_BYTES = 1 << 16
CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 47}
"""name → zlib window bits; what is never asked for (br, zstd) is refused."""


class Unreadable(Exception):
    """The server was reached but cannot be understood; the message is a sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    is_whole: bool
    """False where it was longer than wanted, or too slow."""

    @property
    def location(self) -> str:
        return self.headers.get("location", "") if 300 <= self.status < 400 else ""


@functools.cache
def trust(authorities: str) -> ssl.SSLContext:
    """The system's certificates, else those that come with certifi; and the user's."""
    context = ssl.create_default_context()
    if not context.get_ca_certs() and not _has_folder():
        import certifi

        context.load_verify_locations(certifi.where())
    if authorities:
        context.load_verify_locations(authorities)
    return context


def _has_folder() -> bool:
    """Certificates in a folder are loaded when one is needed."""
    return bool(ssl.get_default_verify_paths().capath)


def prepare(way: Way) -> None:
    """Once, before the first job."""
    trust(way.authorities)


def client(way: Way) -> httpx2.Client:
    """One that goes nowhere but through the proxy, follows nothing and remembers nothing."""
    return httpx2.Client(
        proxy=way.proxy,
        verify=trust(way.authorities),
        trust_env=False,
        follow_redirects=False,
        timeout=IDLE_SECONDS,
        # The proxy serves one request a connection.
        limits=httpx2.Limits(max_keepalive_connections=0),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate"},
    )


def get(web: httpx2.Client, url: str, *, most_bytes: int, until: float, accept: str) -> Answer:
    """As `send`, a GET."""
    # httpx2 forgets the brackets of an IPv6 address where it asks a proxy.
    target = {"target": url.encode("ascii")} if url.startswith("http://[") else {}
    asked = web.build_request("GET", url, headers={"Accept": accept}, extensions=target)
    return send(web, asked, most_bytes=most_bytes, until=until)


def send(web: httpx2.Client, asked: httpx2.Request, *, most_bytes: int, until: float) -> Answer:
    """`until` is of the monotonic clock. Raises: Unreadable, httpx2.HTTPError."""
    response = web.send(asked, stream=True)
    try:
        headers = {name.lower(): value for name, value in response.headers.items()}
        status = response.status_code
        if response.is_redirect:
            return Answer(status=status, headers=headers, body=b"", is_whole=True)
        coding = headers.get("content-encoding", "identity").strip().lower()
        pieces = _decoded(response.iter_raw(), coding)
        body, is_whole = _bounded(pieces, most_bytes, until)
        return Answer(status=status, headers=headers, body=body, is_whole=is_whole)
    finally:
        response.close()


def _bounded(pieces: Iterable[bytes], most: int, until: float) -> tuple[bytes, bool]:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > most:
            return bytes(body[:most]), False
        if time.monotonic() > until:
            return bytes(body), False
    return bytes(body), True


def _decoded(pieces: Iterable[bytes], coding: str) -> Iterable[bytes]:
    """In pieces of bounded size, whatever they expand to. Raises: Unreadable."""
    if coding in ("", "identity"):
        yield from pieces
        return
    if coding not in CODINGS:
        sentence = (
            f"The server sent the page compressed as {coding[:40]!r}, which was not asked for."
        )
        raise Unreadable("compressed", sentence)
    unpacker = zlib.decompressobj(CODINGS[coding])
    try:
        for piece in pieces:
            yield unpacker.decompress(piece, PIECE_BYTES)
            while unpacker.unconsumed_tail:
                yield unpacker.decompress(unpacker.unconsumed_tail, PIECE_BYTES)
    except zlib.error as problem:
        raise Unreadable("compressed", f"The page is not {coding} as it says.") from problem
