"""The server name in a TLS greeting, which must be the host that was asked for.

Covers: a ClientHello over any number of records and packets; a greeting without a name, with
several, with another one, or with an encrypted one whose real name cannot be seen.
Does not cover: what is said inside TLS afterwards, such as the Host header of the request.

Source: RFC 8446, 4.1.2 and 5.1; RFC 6066, 3; RFC 9849 (Encrypted Client Hello).
"""

from wardian_sandbox.egress.names import BadName, Host, parse_host, show
from wardian_sandbox.egress.refused import Refused

MAX_HELLO_BYTES = 16 << 10
MAX_RECORD_BYTES = 1 << 14
HANDSHAKE, CLIENT_HELLO, HOST_NAME = 22, 1, 0
SERVER_NAME = 0
ENCRYPTED = (0xFE0D, 0xFFCE)
"""encrypted_client_hello, and the encrypted_server_name before it."""
UNRECOGNISED_NAME = bytes((21, 3, 3, 0, 2, 2, 112))
"""The fatal alert for a name that is not served here. Source: RFC 6066, 3."""


def _wrong(sentence: str) -> Refused:
    return Refused("tls", sentence)


class HelloReader:
    """Takes the first bytes of a tunnel until they are a whole ClientHello."""

    def __init__(self) -> None:
        self.raw = bytearray()
        """Everything taken, to be passed on as it came."""
        self._record = 0
        self._message = bytearray()

    def feed(self, data: bytes) -> bytes | None:
        """The body of the ClientHello once it is there. Raises: Refused."""
        self.raw += data
        if len(self.raw) > MAX_HELLO_BYTES:
            raise _wrong("The TLS greeting is too long.")
        while len(self.raw) - self._record >= 5:
            kind, major = self.raw[self._record], self.raw[self._record + 1]
            size = int.from_bytes(self.raw[self._record + 3 : self._record + 5], "big")
            if kind != HANDSHAKE or major != 3 or not 0 < size <= MAX_RECORD_BYTES:
                raise _wrong("Only TLS may be spoken through CONNECT.")
            end = self._record + 5 + size
            if len(self.raw) < end:
                return None
            self._message += self.raw[self._record + 5 : end]
            self._record = end
            if (body := self._whole()) is not None:
                return body
        if self.raw and self.raw[0] != HANDSHAKE:
            raise _wrong("Only TLS may be spoken through CONNECT.")
        return None

    def _whole(self) -> bytes | None:
        if self._message[0] != CLIENT_HELLO:
            raise _wrong("TLS must begin with a ClientHello.")
        if len(self._message) < 4:
            return None
        size = int.from_bytes(self._message[1:4], "big")
        if len(self._message) > 4 + size:
            raise _wrong("Something follows the ClientHello.")
        return bytes(self._message[4:]) if len(self._message) == 4 + size else None


def check_hello(body: bytes, host: Host, port: int) -> None:
    """Raises: Refused unless the greeting is for `host`; for an address it names nobody."""
    try:
        extensions = _extensions(body)
        names = _names(extensions.get(SERVER_NAME))
    except (IndexError, ValueError) as problem:
        raise _wrong("The TLS greeting cannot be read.") from problem
    if any(kind in extensions for kind in ENCRYPTED):
        raise _wrong("An encrypted TLS greeting is refused, since its host cannot be seen.")
    if isinstance(host, str):
        if not names:
            raise _wrong(f"The TLS greeting names no host; it must name {host}.")
        if names != [host]:
            raise _wrong(f"The TLS greeting names another host than {show(host, port)}.")
    elif names:
        raise _wrong(f"The TLS greeting names a host, but {show(host, port)} was asked for.")


class _Cursor:
    """Reads length-prefixed fields. Raises: ValueError when there is less than announced."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        part = self.data[self.at : self.at + size]
        if len(part) != size:
            raise ValueError("shorter than announced")
        self.at += size
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def field(self, prefix: int) -> bytes:
        return self.take(self.number(prefix))

    @property
    def is_done(self) -> bool:
        return self.at == len(self.data)


def _extensions(body: bytes) -> dict[int, bytes]:
    hello = _Cursor(body)
    hello.take(2 + 32)  # version, random
    hello.field(1)  # session
    hello.field(2)  # cipher suites
    hello.field(1)  # compression
    if hello.is_done:
        return {}
    listed = _Cursor(hello.field(2))
    if not hello.is_done:
        raise ValueError("something follows the extensions")
    found: dict[int, bytes] = {}
    while not listed.is_done:
        kind, content = listed.number(2), listed.field(2)
        if kind in found:
            raise ValueError("an extension twice")
        found[kind] = content
    return found


def _names(extension: bytes | None) -> list[str]:
    if extension is None:
        return []
    outer = _Cursor(extension)
    listed = _Cursor(outer.field(2))
    names: list[str] = []
    while not listed.is_done:
        kind, name = listed.number(1), listed.field(2)
        if kind != HOST_NAME:
            raise ValueError("a name of an unknown kind")
        names.append(_plain(name))
    if not outer.is_done or len(names) != 1:
        raise ValueError("not exactly one name")
    return names


def _plain(name: bytes) -> str:
    try:
        host = parse_host(name.decode("ascii"))
    except BadName as problem:
        raise ValueError(str(problem)) from problem
    if isinstance(host, str):
        return host
    raise ValueError("an address, which is no server name")  # RFC 6066, 3
