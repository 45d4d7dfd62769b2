"""What the proxy takes for a request, and what it does not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian_sandbox.egress.parsing import parse_chunk_size, parse_request
from wardian_sandbox.egress.refused import Refused

PLAIN = b"GET http://example.org/a?b HTTP/1.1\r\nHost: example.org"
TUNNEL = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443"
POST = b"POST http://example.org/ HTTP/1.1\r\nHost: example.org"


@pytest.mark.parametrize(
    ("head", "host", "port", "path"),
    [
        (PLAIN, "example.org", 80, "/a?b"),
        (b"GET HTTP://EXAMPLE.org.:80/ HTTP/1.1\r\nhost: example.ORG", "example.org", 80, "/"),
        (b"GET http://example.org HTTP/1.1\r\nHost: example.org", "example.org", 80, "/"),
        (b"GET http://example.org?x HTTP/1.1\r\nHost: example.org", "example.org", 80, "/?x"),
        (b"GET http://[2001:db8::1]:8080/ HTTP/1.1\r\nHost: [2001:DB8:0::1]:8080",
         "2001:db8::1", 8080, "/"),
        (b"GET http://example.org/ HTTP/1.0", "example.org", 80, "/"),
        (TUNNEL, "example.org", 443, ""),
        (b"CONNECT example.org:8443 HTTP/1.1\r\nHost: example.org", "example.org", 8443, ""),
        (b"CONNECT 192.0.2.1:443 HTTP/1.0", "192.0.2.1", 443, ""),
    ],
)  # fmt: skip
def test_a_proper_request_is_understood(head: bytes, host: str, port: int, path: str) -> None:
    request = parse_request(head)
    assert (str(request.host), request.port, request.path) == (host, port, path)


MALFORMED = [
    b"",
    b"GET",
    b"GET / HTTP/1.1\r\nHost: example.org",
    b"GET  http://example.org/ HTTP/1.1\r\nHost: example.org",
    b"GET http://example.org/ HTTP/1.1 \r\nHost: example.org",
    b" GET http://example.org/ HTTP/1.1\r\nHost: example.org",
    b"GET\thttp://example.org/\tHTTP/1.1\r\nHost: example.org",
    b"get http://example.org/ HTTP/1.1\r\nHost: example.org",
    b"GET http://example.org/ HTTP/2.0\r\nHost: example.org",
    b"GET http://example.org/ HTTP/1.1\nHost: example.org",
    b"GET http://example.org/\0 HTTP/1.1\r\nHost: example.org",
    b"GET http://example.org\0.evil.net/ HTTP/1.1\r\nHost: example.org",
    b"GET http://example.org/\x7f HTTP/1.1\r\nHost: example.org",
    b"GET http://exam\xc3\xbcple.org/ HTTP/1.1\r\nHost: example.org",
    b"GET https://example.org/ HTTP/1.1\r\nHost: example.org",
    b"GET ftp://example.org/ HTTP/1.1\r\nHost: example.org",
    b"GET http:example.org/ HTTP/1.1\r\nHost: example.org",
    b"GET http:///example.org/ HTTP/1.1\r\nHost: example.org",
    b"GET http://example.org/#evil.net HTTP/1.1\r\nHost: example.org",
    b"GET http://example.org\\@evil.net/ HTTP/1.1\r\nHost: example.org",
    b"GET http://example.org@evil.net/ HTTP/1.1\r\nHost: evil.net",
    b"GET http://u:p@example.org/ HTTP/1.1\r\nHost: example.org",
    b"GET http://example.org:80:81/ HTTP/1.1\r\nHost: example.org",
    b"GET http://example.org:/ HTTP/1.1\r\nHost: example.org",
    b"GET http://example%2eorg/ HTTP/1.1\r\nHost: example.org",
    b"GET http://example.org/ HTTP/1.1",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\nHost: example.org",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\nhOST: evil.net",
    b"GET http://example.org/ HTTP/1.1\r\nHost: evil.net",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org:81",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org, evil.net",
    b"GET http://example.org/ HTTP/1.1\r\nHost: u@example.org",
    b"GET http://example.org/ HTTP/1.1\r\nHost:",
    b"GET http://example.org/ HTTP/1.1\r\nHost : example.org",
    b"GET http://example.org/ HTTP/1.1\r\n Host: example.org",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n folded: evil",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\tfolded",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\nX: a\nY: b",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\nX: a\rY: b",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\nX: \0",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n: nameless",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\nX(y): z",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\nno colon",
    PLAIN + b"\r\nX: y" * 200,
    PLAIN + b"\r\nX: " + b"y" * 9000,
    POST + b"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
    POST + b"\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
    POST + b"\r\nContent-Length: 5\r\nContent-Length: 6",
    POST + b"\r\nContent-Length: 5\r\nContent-Length: 5",
    POST + b"\r\nContent-Length: 5, 5",
    POST + b"\r\nContent-Length: +5",
    POST + b"\r\nContent-Length: -5",
    POST + b"\r\nContent-Length: 0x5",
    POST + b"\r\nContent-Length: 5 5",
    POST + b"\r\nContent-Length:",
    POST + b"\r\nContent-Length: \xb2",
    POST + b"\r\nTransfer-Encoding: Chunked",
    POST + b"\r\nTransfer-Encoding: gzip, chunked",
    POST + b"\r\nTransfer-Encoding: identity",
    POST + b"\r\nTransfer-Encoding: \x0bchunked",
    POST + b"\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\nTransfer-Encoding: chunked",
    b"CONNECT example.org HTTP/1.1\r\nHost: example.org",
    b"CONNECT https://example.org:443 HTTP/1.1\r\nHost: example.org",
    b"CONNECT example.org:443/x HTTP/1.1\r\nHost: example.org",
    b"CONNECT :443 HTTP/1.1\r\nHost: example.org",
    b"CONNECT example.org:0443 HTTP/1.1\r\nHost: example.org",
    b"CONNECT example.org:65979 HTTP/1.1\r\nHost: example.org",
    b"CONNECT u@example.org:443 HTTP/1.1\r\nHost: example.org",
    b"CONNECT example.org:443 HTTP/1.1\r\nHost: evil.net:443",
    TUNNEL + b"\r\nContent-Length: 5",
    TUNNEL + b"\r\nTransfer-Encoding: chunked",
]


@pytest.mark.parametrize("head", MALFORMED)
def test_everything_else_is_refused(head: bytes) -> None:
    with pytest.raises(Refused):
        parse_request(head)


def test_a_refusal_is_one_line_of_ascii() -> None:
    for head in MALFORMED:
        with pytest.raises(Refused) as refused:
            parse_request(head)
        assert refused.value.sentence.isascii()
        assert refused.value.sentence.isprintable()


PIECES = st.sampled_from(
    [
        *(PLAIN, TUNNEL, POST, b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"@", b"/", b"#"),
        *(b"Host: evil.net", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"HTTP/1.1"),
        *(b"GET ", b"http://", b"example.org", b".", b"[::1]", b":443", b"X: y", b"%2e", b"\xff"),
        b"Connection: host",
    ]
)
HEADS = st.lists(PIECES | st.binary(max_size=4), max_size=12).map(b"".join) | st.builds(
    lambda head, at, byte: head[: at % len(head)] + byte + head[at % len(head) + 1 :],
    st.sampled_from([PLAIN, TUNNEL, POST + b"\r\nContent-Length: 5"]),
    st.integers(0, 100),
    st.binary(max_size=2),
)


@given(HEADS)
def test_whatever_comes_is_refused_or_passed_on_as_one_plain_request(head: bytes) -> None:
    try:
        request = parse_request(head)
    except Refused:
        return
    assert re.fullmatch(r"[a-z0-9_.:-]+", str(request.host))
    lines = request.head().split(b"\r\n")
    assert lines[-2:] == [b"", b""]
    assert all(line and not re.search(rb"[\0\r\n]", line) for line in lines[:-2])
    names = [line.partition(b":")[0].lower() for line in lines[1:-2]]
    assert names.count(b"host") == names.count(b"connection") == 1
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1


def passed_on(head: bytes) -> list[bytes]:
    return parse_request(head).head().split(b"\r\n")


def test_the_server_gets_one_request_in_origin_form() -> None:
    assert passed_on(PLAIN + b"\r\nAccept: */*") == [
        b"GET /a?b HTTP/1.1",
        b"Host: example.org",
        b"Accept: */*",
        b"Connection: close",
        b"",
        b"",
    ]


def test_what_is_for_the_proxy_stays_with_the_proxy() -> None:
    more = (
        b"\r\nProxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\nTE: trailers"
        b"\r\nUpgrade: h2c\r\nKeep-Alive: 5\r\nConnection: X-Mine , keep-alive, Host\r\nX-Mine: 1"
        b"\r\nX-Kept: 2"
    )
    assert passed_on(PLAIN + more)[1:-2] == [
        b"Host: example.org",
        b"X-Kept: 2",
        b"Connection: close",
    ]


def test_the_body_is_framed_anew() -> None:
    sized = parse_request(POST + b"\r\nContent-Length: 005")
    assert b"Content-Length: 5" in sized.head().split(b"\r\n")
    chunked = parse_request(POST + b"\r\nTransfer-Encoding: chunked")
    assert chunked.body_bytes is None
    assert chunked.head().count(b"chunked") == 1


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"http://example.org:80/", b"Host: example.org"),
        (b"http://example.org:8080/", b"Host: example.org:8080"),
        (b"http://[2001:db8::1]/", b"Host: [2001:db8::1]"),
        (b"http://[2001:db8::1]:81/", b"Host: [2001:db8::1]:81"),
    ],
)
def test_the_host_header_is_the_target_normalised(target: bytes, host: bytes) -> None:
    authority = target.split(b"/")[2]
    assert passed_on(b"GET %s HTTP/1.1\r\nHost: %s" % (target, authority))[1] == host


@pytest.mark.parametrize("line", [b"", b"5;ext=1", b" 5", b"5 ", b"0x5", b"-1", b"+5", b"1" * 9])
def test_a_chunk_has_a_plain_size(line: bytes) -> None:
    assert parse_chunk_size(b"00aF") == 0xAF
    with pytest.raises(Refused):
        parse_chunk_size(line)
