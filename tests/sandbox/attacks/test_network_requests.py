"""What is said to the filtering proxy: tunnels, requests that mean two things, and exhaustion.

The box, its servers and the controls are those of `test_network_egress.py`.
"""

from typing import Any

import pytest

# Inside a tunnel


@pytest.mark.parametrize(
    "greeting",
    [
        "hello('evil.example')",
        "hello('sub.good.example')",
        "hello(None)",
        "hello('evil.example') + hello('good.example')",
        "b'GET / HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n'",
        "b'SSH-2.0-x\\r\\n'",
        "b'\\x05\\x01\\x00'",
        "b'\\x17\\x03\\x03\\x00\\x05hello'",
        "hello('good.example')[:30]",
        "b''",
    ],
)
def test_a_tunnel_is_for_tls_with_the_host_that_was_named(
    guest: Any, outside: Any, greeting: str
) -> None:
    """Not a byte of another greeting arrives."""
    since = len(guest.events)
    code = (
        "s, answer = tunnel(f'good.example:{RAW}')\n"
        f"s.sendall({greeting})\ns.shutdown(socket.SHUT_WR)\ngot = rest(s)\ns.close()\n"
        "(answer[9:12], got[:7])"
    )
    answer, got = guest.value(code)
    assert answer == b"200"
    assert got in (b"\x15\x03\x03\x00\x02\x02\x70", b"")  # the alert "unrecognised name"
    assert outside.raw.next() == b""
    denied = guest.told("denied", since)
    assert (denied[0].code, denied[0].host, denied[0].sent_bytes) == ("tls", "good.example", 0)
    assert not [event for event in guest.events[since:] if event.outcome == "allowed"]
    guest.value(code.replace(greeting, "hello('good.example')"))
    assert outside.raw.next().startswith(b"\x16\x03\x01")


def test_a_whole_conversation_goes_through_a_tunnel(guest: Any) -> None:
    fine = "talk_tls(SECURE, 'good.example', b'GET /fine HTTP/1.1\\r\\nHost: x\\r\\n"
    fine += "Connection: close\\r\\n\\r\\n', TRUSTED)"
    assert guest.value(fine).endswith(b"hello /fine")


def test_an_encrypted_greeting_is_refused_though_its_outer_name_is_right(guest: Any) -> None:
    """Its inner name, which the server would obey, cannot be seen."""
    build = (
        "def with_extension(data, kind):\n"
        "    body = data[9:]; at = 34; at += 1 + body[at]\n"
        "    at += 2 + int.from_bytes(body[at:at + 2], 'big'); at += 1 + body[at]\n"
        "    more = struct.pack('!HH', kind, 40) + bytes(40)\n"
        "    size = int.from_bytes(body[at:at + 2], 'big') + len(more)\n"
        "    body = body[:at] + struct.pack('!H', size) + body[at + 2:] + more\n"
        "    message = bytes([1]) + len(body).to_bytes(3, 'big') + body\n"
        "    return b'\\x16\\x03\\x01' + struct.pack('!H', len(message)) + message\n"
        "def ask(kind):\n"
        "    s, answer = tunnel(SECURE)\n"
        "    s.sendall(with_extension(hello('good.example'), kind))\n"
        "    first = s.recv(1); s.close()\n"
        "    return first[0]\n"
        "(ask(0xfe0d), ask(0xffce), ask(0xfafa))"
    )
    assert guest.value(build) == (21, 21, 22)  # alert, alert, and the server's own greeting


# Smuggling


@pytest.mark.parametrize(
    "header",
    [
        "Host: evil.example",
        "Host: sub.below.example",
        "Host: good.example:1",
        "Host: good.example, evil.example",
        "Host: u@good.example",
    ],
)
def test_a_host_header_that_is_not_the_target_is_refused(
    guest: Any, outside: Any, header: str
) -> None:
    """Domain fronting: the server would serve the host of the header."""
    since = len(outside.seen)
    host = header.partition(": ")[2]
    assert guest.value(f"get(f'http://{{GOOD}}/', host={host!r})[9:12]") in (b"403", b"400")
    assert guest.value(f"get(f'http://{{GOOD}}/', {header!r})[9:12]") == b"400"
    assert outside.seen[since:] == []
    guest.is_fine()


ONE, TE, CL = "0\\r\\n\\r\\n", "Transfer-Encoding: chunked\\r\\n", "Content-Length: {}\\r\\n"
SECOND = "GET http://evil.example/second HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n"
SMUGGLED = {
    "CL.TE": f"{CL.format(6)}{TE}\\r\\n{ONE}G",
    "TE.CL": f"{TE}{CL.format(4)}\\r\\n5\\r\\nGPOST\\r\\n{ONE}",
    "TE.TE": f"{TE}Transfer-Encoding: x\\r\\n\\r\\n{ONE}",
    "CL.CL": f"{CL.format(0)}{CL.format(9)}\\r\\n{SECOND}",
    "TE list": f"Transfer-Encoding:\\tchunked, identity\\r\\n\\r\\n{ONE}{SECOND}",
    "TE folded": f"Transfer-Encoding:\\r\\n chunked\\r\\n\\r\\n{ONE}{SECOND}",
    "TE space colon": f"Transfer-Encoding : chunked\\r\\n{CL.format(5)}\\r\\n{ONE}",
    "bare LF": f"X: y\\n{TE}\\r\\n{ONE}",
    "CL sign": f"Content-Length: +0\\r\\n\\r\\n{SECOND}",
    "CL list": f"Content-Length: 0, 0\\r\\n\\r\\n{SECOND}",
    "NUL": f"X: \\0\\r\\n{CL.format(0)}\\r\\n{SECOND}",
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_body_of_two_lengths_is_refused(guest: Any, outside: Any, name: str) -> None:
    """Whoever reads its end elsewhere than the next one takes the rest for a request of its own."""
    since, seen = len(guest.events), len(outside.seen)
    head = "POST http://{GOOD}/ HTTP/1.1\\r\\nHost: {GOOD}\\r\\n"
    answer = guest.value(f"say(f'{head}{SMUGGLED[name]}'.encode())")
    assert (answer[9:12], answer.count(b"HTTP/1.1 ")) == (b"400", 1)
    assert guest.told("denied", since)[0].code == "malformed"
    assert outside.seen[seen:] == []
    fine = guest.value(f"say(f'{head}Content-Length: 2\\r\\n\\r\\nok'.encode())")
    assert fine.endswith(b"\r\n\r\nok")


@pytest.mark.parametrize(
    "chunks",
    [
        "5;x=y\\r\\nhello\\r\\n0\\r\\n\\r\\n",
        "0x5\\r\\nhello\\r\\n0\\r\\n\\r\\n",
        "5\\nhello\\r\\n0\\r\\n\\r\\n",
        "5\\r\\nhelloGET /\\r\\n0\\r\\n\\r\\n",
        "0\\r\\nHost: evil.example\\r\\n\\r\\n",
        "-5\\r\\nhello\\r\\n",
        "fffffffff\\r\\nhello",
        "5\\r\\nhello",
    ],
)
def test_a_chunked_body_is_passed_on_only_as_it_should_be(guest: Any, chunks: str) -> None:
    head = (
        "POST http://{GOOD}/ HTTP/1.1\\r\\nHost: {GOOD}\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
    )
    ask = "s = connect(); s.sendall(f'%s%s'.encode()); s.shutdown(socket.SHUT_WR); rest(s)"
    assert b" 200 " not in guest.value(ask % (head, chunks))
    assert guest.value(ask % (head, "5\\r\\nhello\\r\\n0\\r\\n\\r\\n")).endswith(b"\r\n\r\nhello")


def test_a_second_request_is_never_answered_nor_passed_on(guest: Any, outside: Any) -> None:
    first = "GET http://{GOOD}/first HTTP/1.1\\r\\nHost: {GOOD}\\r\\n\\r\\n"
    second = "GET http://{GOOD}/second HTTP/1.1\\r\\nHost: {GOOD}\\r\\n\\r\\n"
    since = len(outside.seen)
    answer = guest.value(f"say(f'{first}{second}'.encode())")
    assert answer.count(b"HTTP/1.1 200") == 1
    kept = f"s = connect(); s.sendall(f'{first}'.encode()); a = s.recv(1); "
    kept += f"s.sendall(f'{second}'.encode()); a + rest(s)"
    assert guest.value(kept).count(b"HTTP/1.1 200") == 1
    assert [path for _, path, _ in outside.seen[since:]] == ["/first", "/first"]
    assert guest.value(f"say(f'{second}'.encode())").endswith(b"hello /second")


def test_what_the_client_says_of_connections_is_not_passed_on(guest: Any, outside: Any) -> None:
    """Nor an upgrade, which would make a tunnel of a plain request."""
    headers = "'Connection: keep-alive, Upgrade, X-Secret', 'Upgrade: h2c', 'X-Secret: 1'"
    fine = guest.value(f"get(f'http://good.example:{{RAW}}/x', {headers}, 'X-Kept: 1')")
    assert fine.endswith(b"\r\n\r\nok")
    assert outside.raw.next().split(b"\r\n") == [
        b"GET /x HTTP/1.1",
        b"Host: good.example:%d" % outside.raw.port,
        b"X-Kept: 1",
        b"Connection: close",
        b"",
        b"",
    ]


def test_what_follows_a_request_never_reaches_its_server(guest: Any, outside: Any) -> None:
    second = "GET /second HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n"
    first = "POST http://good.example:{RAW}/ HTTP/1.1\\r\\nHost: good.example:{RAW}\\r\\n"
    for frame, body in (("Content-Length: 2", "ok"), ("Transfer-Encoding: chunked", ONE)):
        guest.value(f"say(f'{first}{frame}\\r\\n\\r\\n{body}{second}'.encode())")
        received = outside.raw.next()
        assert received.startswith(b"POST / HTTP/1.1\r\n")
        assert b"second" not in received


# Exhaustion


def test_a_slow_request_is_ended_and_others_go_on(guest: Any) -> None:
    slow = "s = connect(); s.sendall(b'GET http://'); rest(s)"
    assert guest.value(slow).startswith(b"HTTP/1.1 408 ")
    guest.is_fine()


def test_a_tunnel_without_a_greeting_is_ended(guest: Any) -> None:
    assert guest.value("s, a = tunnel(SECURE); (a[9:12], rest(s)[:1])") == (b"200", b"\x15")
    assert guest.value("s, a = tunnel(SECURE); s.sendall(hello('good.example')); s.recv(1)") == (
        b"\x16"
    )


@pytest.mark.parametrize(
    "bomb",
    ["'X: ' + 'y' * 100_000", "*['X: y'] * 10_000", "'X' * 40_000 + ': y'", "'X: ' + '\\t' * 9000"],
)
def test_a_bomb_of_headers_is_refused(guest: Any, bomb: str) -> None:
    assert guest.value(f"get(f'http://{{GOOD}}/', {bomb})")[9:12] in (b"431", b"400")
    assert guest.value("get(f'http://{GOOD}/', 'X: ' + 'y' * 4000)")[9:12] == b"200"


def test_a_target_without_end_is_refused(guest: Any) -> None:
    assert guest.value("get(f'http://{GOOD}/' + 'x' * 50_000)")[9:12] == b"431"
    assert guest.value("get(f'http://{GOOD}/' + 'x' * 5000)")[9:12] == b"200"


def test_more_connections_than_allowed_wait_and_are_served(guest: Any) -> None:
    """Idle ones lose their place when their time for a request is over."""
    hold = "idle = [connect() for _ in range(20)]"
    assert guest.python(hold).error is None
    guest.is_fine()
    assert guest.value("[s.close() for s in idle]; len(idle)") == 20


def test_a_body_that_stops_halfway_holds_nothing_up(guest: Any) -> None:
    head = "POST http://{GOOD}/ HTTP/1.1\\r\\nHost: {GOOD}\\r\\nContent-Length: 100\\r\\n\\r\\nhalf"
    code = f"s = connect(); s.sendall(f'{head}'.encode()); s.shutdown(socket.SHUT_WR); rest(s)"
    assert b" 200 " not in guest.value(code)
    guest.is_fine()


def test_random_bytes_never_reach_a_server(guest: Any, outside: Any) -> None:
    since = len(outside.seen)
    code = (
        "import random\nrandom.seed(7)\nfirst = set()\n"
        "good = f'GET http://{GOOD}/fuzz HTTP/1.1\\r\\nHost: {GOOD}\\r\\n\\r\\n'.encode()\n"
        "for _ in range(150):\n"
        "    data = bytearray(good)\n"
        "    for _ in range(random.randrange(1, 4)):\n"
        "        at = random.randrange(11, len(good) - 4)\n"
        "        data[at] = random.choice(b'\\0\\r\\n :@%\\t\\xff/')\n"
        "    with connect() as s:\n"
        "        s.sendall(data); s.shutdown(socket.SHUT_WR); first.add(rest(s)[9:12])\n"
        "first"
    )
    answers = guest.value(code)
    assert answers <= {b"200", b"400", b"403", b"431", b"502", b"505"}, answers
    assert {host for _, _, host in outside.seen[since:]} <= {f"good.example:{outside.http}"}
    guest.is_fine()
