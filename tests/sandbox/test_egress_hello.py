"""The TLS greeting: real ones of OpenSSL, and ones that were tampered with."""

import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian_sandbox.egress.hello import MAX_HELLO_BYTES, HelloReader, check_hello
from wardian_sandbox.egress.names import parse_host
from wardian_sandbox.egress.refused import Refused


def hello(name: str | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """What OpenSSL sends first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.maximum_version = version
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def check(data: bytes, host: str = "good.example") -> None:
    """As the proxy does with what comes in one piece."""
    body = HelloReader().feed(data)
    assert body is not None
    check_hello(body, parse_host(host), 443)


def rebuilt(data: bytes, *extensions: tuple[int, bytes], keep: bool = False) -> bytes:
    """The greeting with other extensions, in one record."""
    body = data[9:]
    at = 34
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + body[at]
    listed = body[at + 2 :] if keep else b""
    listed += b"".join(struct.pack("!HH", kind, len(x)) + x for kind, x in extensions)
    body = body[:at] + struct.pack("!H", len(listed)) + listed
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack("!H", len(message)) + message


def name_list(*names: bytes, kind: int = 0) -> bytes:
    entries = b"".join(bytes([kind]) + struct.pack("!H", len(name)) + name for name in names)
    return struct.pack("!H", len(entries)) + entries


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_greeting_for_the_host_passes(version: ssl.TLSVersion) -> None:
    check(hello("good.example", version))
    check(hello("Good.EXAMPLE", version))


def test_another_host_or_none_is_refused() -> None:
    for name in ("evil.example", "good.example.evil.net", "sub.good.example", None):
        with pytest.raises(Refused, match="The TLS greeting names"):
            check(hello(name))


def test_an_address_is_greeted_without_a_name() -> None:
    check(hello(None), "127.0.0.1")
    check(hello("127.0.0.1"), "127.0.0.1")  # OpenSSL leaves an address out, as it should
    with pytest.raises(Refused, match="names a host"):
        check(hello("good.example"), "127.0.0.1")


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_a_greeting_may_come_in_any_pieces(size: int) -> None:
    message = hello("good.example")[5:]
    records = b"".join(
        b"\x16\x03\x01" + struct.pack("!H", len(part)) + part
        for part in (message[at : at + size] for at in range(0, len(message), size))
    )
    reader, body = HelloReader(), None
    for at in range(len(records)):
        assert body is None
        body = reader.feed(records[at : at + 1])
    assert body == message[4:]
    assert bytes(reader.raw) == records


def test_what_follows_in_other_records_is_passed_on() -> None:
    data = hello("good.example") + b"\x14\x03\x03\x00\x01\x01"
    reader = HelloReader()
    assert reader.feed(data) is not None
    assert bytes(reader.raw) == data


@pytest.mark.parametrize("kind", [0xFE0D, 0xFFCE])
def test_an_encrypted_name_is_refused_whatever_the_outer_one_is(kind: int) -> None:
    outer = (0, name_list(b"good.example"))
    check(rebuilt(hello(None), outer))
    with pytest.raises(Refused, match="encrypted TLS greeting"):
        check(rebuilt(hello(None), outer, (kind, b"\0" * 40)))


@pytest.mark.parametrize(
    "extension",
    [
        name_list(b"good.example", b"evil.example"),
        name_list(b"evil.example", b"good.example"),
        name_list(b"good.example", kind=1),
        name_list(b"good.example\0.evil.example"),
        name_list(b"good.example\0"),
        name_list("go\u043ed.example".encode()),
        name_list(b"good.example") + b"x",
        name_list(),
        name_list(b""),
        b"",
        b"\xff\xff" + name_list(b"good.example")[2:],
        name_list(b"[::1]"),
    ],
)
def test_a_doubtful_name_is_refused(extension: bytes) -> None:
    check(rebuilt(hello(None), (0, name_list(b"good.example"))))
    with pytest.raises(Refused):
        check(rebuilt(hello(None), (0, extension)))


def test_two_lists_of_names_are_refused() -> None:
    twice = rebuilt(hello(None), (0, name_list(b"good.example")), (0, name_list(b"evil.example")))
    with pytest.raises(Refused, match="cannot be read"):
        check(twice)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x80\x2e\x01\x03\x01\0\0\0\0",  # SSL 2
        b"\x17\x03\x03\x00\x01x",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x02\x01\x00\x05hello",
        b"\x16\x03\x01\x00\x05\x02\x00\x00\x01x",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_other_protocols_are_refused_at_their_first_bytes(data: bytes) -> None:
    with pytest.raises(Refused):
        HelloReader().feed(data)


def test_a_greeting_is_bounded() -> None:
    long = b"\x01\xff\xff\xff" + b"x" * 1000
    record = b"\x16\x03\x01" + struct.pack("!H", len(long)) + long
    with pytest.raises(Refused, match="too long"):
        HelloReader().feed(record * (MAX_HELLO_BYTES // len(record) + 1))


def test_something_behind_the_greeting_in_its_record_is_refused() -> None:
    data = hello("good.example")
    longer = data[:3] + struct.pack("!H", len(data) - 5 + 4) + data[5:] + b"\x01\0\0\0"
    with pytest.raises(Refused, match="follows"):
        HelloReader().feed(longer)


def test_a_truncated_greeting_is_never_taken_for_a_whole_one() -> None:
    data = hello("good.example")
    for end in range(len(data)):
        assert HelloReader().feed(data[:end]) is None


def test_a_greeting_with_a_byte_of_its_name_changed_is_refused() -> None:
    data = bytearray(hello("good.example"))
    start = bytes(data).index(b"good.example")
    for index in range(start, start + len("good.example")):
        data[index] ^= 1
        with pytest.raises(Refused):
            check(bytes(data))
        data[index] ^= 1
    check(bytes(data))


@given(st.integers(0, 600), st.binary(max_size=3), st.booleans())
def test_whatever_comes_is_refused_or_for_the_host(at: int, change: bytes, is_cut: bool) -> None:
    data = hello("good.example")
    at %= len(data)
    data = data[:at] + change + (b"" if is_cut else data[at + len(change) :])
    try:
        check(data)
    except (Refused, AssertionError):  # refused, or not a whole greeting yet
        return
    assert b"good.example" in data.lower()
