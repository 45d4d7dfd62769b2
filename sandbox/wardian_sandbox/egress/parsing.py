"""What a client says to the proxy, read strictly: absolute-form and CONNECT, and nothing else.

Covers: bare line feeds, folded lines, control characters and NUL, spaces where none belong,
repeated or contradictory Host, Content-Length and Transfer-Encoding, user names in the authority,
a Host that is not the target's, percent signs and backslashes in host names, bounded sizes.

Source: RFC 9110, RFC 9112 (2.2, 3.2, 5, 6, 11.2).
"""

import re
from dataclasses import dataclass

from wardian_sandbox.egress.names import BadName, Host, parse_host, parse_port, show, split_port
from wardian_sandbox.egress.refused import Refused, malformed

MAX_HEAD_BYTES = 32 << 10
MAX_LINE_BYTES = 8 << 10
MAX_HEADERS = 100
MAX_BODY_DIGITS = 15
SCHEME = "http://"
CONNECT = "CONNECT"
METHOD = re.compile(rb"[A-Z]{1,24}")
TARGET = re.compile(rb"[!-~]+")
NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
VALUE = re.compile(rb"[\t -~\x80-\xff]*")
HOP_BY_HOP = {
    *(b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive", b"te"),
    *(b"trailer", b"upgrade", b"transfer-encoding", b"content-length", b"host"),
}
"""Not passed on; those that frame the body are written anew. Source: RFC 9110, 7.6.1."""
NOT_NOMINATED = {b"host", b"content-length", b"transfer-encoding"}

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRequest:
    """A request that is well-formed; whether it is allowed is not said yet."""

    method: str
    host: Host
    port: int
    path: str
    """Origin-form; empty for CONNECT."""
    headers: tuple[tuple[bytes, bytes], ...]
    """End-to-end ones, without Host and what frames the body."""
    body_bytes: int | None
    """None where it is chunked."""

    @property
    def is_connect(self) -> bool:
        return self.method == CONNECT

    def head(self) -> bytes:
        """What the server gets: origin-form, one request, one answer."""
        port = "" if self.port == 80 else f":{self.port}"
        authority = show(self.host, self.port).removesuffix(f":{self.port}") + port
        lines = [
            f"{self.method} {self.path} HTTP/1.1".encode("ascii"),
            b"Host: " + authority.encode("ascii"),
            *(name + b": " + value for name, value in self.headers),
            b"Connection: close",
        ]
        if self.body_bytes is None:
            lines.append(b"Transfer-Encoding: chunked")
        elif self.body_bytes or self.method in ("POST", "PUT", "PATCH"):
            lines.append(b"Content-Length: %d" % self.body_bytes)
        return b"\r\n".join(lines) + b"\r\n\r\n"


def check_beginning(first: bytes | bytearray) -> None:
    """Refuse other protocols at their first byte. Raises: Refused."""
    if first in (b"\x04", b"\x05"):
        raise malformed("This is an HTTP proxy; it does not speak SOCKS.")
    if not first.isalpha():
        raise malformed("This is an HTTP proxy; it expects a plain HTTP request.")


def parse_request(head: bytes) -> ProxyRequest:
    """The request in `head`, which ends before the empty line. Raises: Refused."""
    lines = head.split(b"\r\n")
    if any(len(line) > MAX_LINE_BYTES for line in lines) or len(lines) > MAX_HEADERS + 1:
        raise malformed("The request's head is too long.", 431)
    words = lines[0].split(b" ")
    if len(words) != 3:
        raise malformed("The request line is not a method, a target and a version.")
    method, target, version = words
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Refused("version", "This proxy speaks HTTP/1.1 only.", 505)
    if not METHOD.fullmatch(method) or not TARGET.fullmatch(target):
        raise malformed("The request line has characters that do not belong there.")
    headers = [_header(line) for line in lines[1:]]
    is_connect = method == b"CONNECT"
    authority, path = _split_target(target.decode("ascii"), is_connect)
    host, port = _authority(authority, None if is_connect else 80)
    if _values(headers, b"host") != [authority.encode("ascii")]:
        _check_host(headers, host, port, 443 if is_connect else 80, version)
    body = _body_bytes(headers, version)
    if is_connect and body != 0:
        raise malformed("A CONNECT request has no body.")
    return ProxyRequest(
        method=method.decode("ascii"),
        host=host,
        port=port,
        path=path,
        headers=tuple(_end_to_end(headers)),
        body_bytes=body,
    )


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    # A folded line begins with a space and "Name :" ends with one: neither is a name.
    if not colon or not NAME.fullmatch(name) or not VALUE.fullmatch(value):
        raise malformed("A header line is not a name, a colon and a value.")
    return name, value.strip(b" \t")


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


def _split_target(target: str, is_connect: bool) -> tuple[str, str]:
    """Authority and path."""
    if is_connect:
        return target, ""
    if target[: len(SCHEME)].lower() != SCHEME:
        raise malformed("A proxy wants http://host/path, or CONNECT host:port for https.")
    rest = target[len(SCHEME) :]
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    if "#" in path or path.startswith("\\"):
        raise malformed("The target is not a plain http URL.")
    return authority, path if path.startswith("/") else f"/{path}"


def _authority(text: str, default_port: int | None) -> tuple[Host, int]:
    if "@" in text:
        raise malformed("A user name before the host is refused.")
    name, written = split_port(text)
    try:
        port = default_port if written is None else parse_port(written)
        host = parse_host(name)
    except BadName as problem:
        raise malformed(f"The host {problem}.") from problem
    if port is None:
        raise malformed("CONNECT wants host:port.")
    return host, port


def _check_host(headers: Headers, host: Host, port: int, default: int, version: bytes) -> None:
    """The Host header says the same as the target, or there is none in HTTP/1.0."""
    values = _values(headers, b"host")
    if len(values) > 1 or (not values and version == b"HTTP/1.1"):
        raise malformed("There must be one Host header.")
    if not values:
        return
    if not values[0].isascii():
        raise malformed("The Host header is not a host.")
    text = values[0].decode("ascii")
    named, given = _authority(text, default)
    is_without_port = split_port(text)[1] is None
    if named != host or (given != port and not is_without_port):
        raise Refused("host_header", "The Host header names another host than the target.")


def _body_bytes(headers: Headers, version: bytes) -> int | None:
    lengths = _values(headers, b"content-length")
    codings = _values(headers, b"transfer-encoding")
    if codings:
        if lengths or codings != [b"chunked"] or version != b"HTTP/1.1":
            raise malformed("Transfer-Encoding must be chunked, alone, and without Content-Length.")
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,%d}" % MAX_BODY_DIGITS, lengths[0]):
        raise malformed("Content-Length must be one number.")
    return int(lengths[0])


def _end_to_end(headers: Headers) -> Headers:
    nominated = {
        word.strip(b" \t").lower()
        for value in _values(headers, b"connection")
        for word in value.split(b",")
    }
    dropped = HOP_BY_HOP | (nominated - NOT_NOMINATED)
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def parse_chunk_size(line: bytes) -> int:
    """Of a chunked body, without extensions. Raises: Refused."""
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", line):
        raise malformed("A chunk's size is not a plain hexadecimal number.")
    return int(line, 16)
