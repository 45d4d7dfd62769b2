"""The way out of a box: real clients inside, real servers outside."""

import asyncio
import base64
import hashlib
import io
import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import (
    Confinement,
    Egress,
    EgressLimits,
    EgressOutcome,
    SandboxError,
    SandboxUnavailable,
    open_sandbox,
)

MEBIBYTE = 1 << 20
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module", params=["bubblewrap", "docker"])
def guest(
    request: pytest.FixtureRequest,
    support: Any,
    outside: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    if request.param == "docker":
        request.getfixturevalue("docker_image")
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "authority.pem").write_text(outside.authority)
    box = support.Guest(request.param, folder, outside, outside.egress())
    box.python(support.CLIENT)
    yield box
    box.close()


def test_urllib_gets_a_page_and_the_event_says_from_where(guest: Any, outside: Any) -> None:
    since = len(guest.events)
    url = f"http://good.example:{outside.http}/page"
    body = guest.value(f"import urllib.request\nurllib.request.urlopen({url!r}).read()")
    assert body == b"hello /page"
    allowed, closed = guest.told("allowed", since), guest.told("closed", since)
    assert [(e.host, e.port, e.address) for e in allowed] == [
        ("good.example", outside.http, "127.0.0.1")
    ]
    assert closed[0].connection == allowed[0].connection
    assert closed[0].received_bytes > len(body)
    assert closed[0].sent_bytes > len("GET /page")


def test_urllib_gets_a_page_over_tls(guest: Any, outside: Any) -> None:
    url = f"https://sub.below.example:{outside.tls}/secure"
    code = (
        "import ssl, urllib.request\ncontext = ssl.create_default_context(cafile='authority.pem')\n"
        f"urllib.request.urlopen({url!r}, context=context).read()"
    )
    assert guest.value(code) == b"hello /secure"


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_a_body_arrives_as_it_was_sent(guest: Any, outside: Any, size: int) -> None:
    url = f"http://good.example:{outside.http}/echo"
    code = f"import urllib.request\nd = bytes(range(256)) * {size}\nd = d[:{size}]\n"
    code += f"urllib.request.urlopen({url!r}, data=d).read() == d"
    assert guest.value(code) is True


def test_a_chunked_body_arrives_as_it_was_sent(guest: Any, outside: Any) -> None:
    code = (
        "import http.client\nc = http.client.HTTPConnection('127.0.0.1', 3128)\n"
        "parts = [b'a' * 10, b'b' * 70000, b'c']\n"
        f"url = 'http://good.example:{outside.http}/echo'\n"
        "c.request('POST', url, body=iter(parts), encode_chunked=True,\n"
        "          headers={'Transfer-Encoding': 'chunked'})\n"
        "c.getresponse().read() == b''.join(parts)"
    )
    assert guest.value(code) is True


def test_a_refusal_is_a_sentence_the_model_can_read(guest: Any) -> None:
    fetch = "python3 -c \"import urllib.request as u; u.urlopen('{}://no.example/')\""
    told = "403{} This sandbox may not reach no.example:{}; it may reach only good.example"
    assert told.format(":", 80) in guest.shell(fetch.format("http")).output
    assert told.format("", 443) in guest.shell(fetch.format("https")).output


def test_a_host_that_does_not_exist_is_told_apart_from_a_refusal(guest: Any, outside: Any) -> None:
    since = len(guest.events)
    answer = guest.value(f"get('http://gone.below.example:{outside.http}/')")
    assert answer.startswith(b"HTTP/1.1 502 There is no host gone.below.example.")
    assert guest.told("failed", since)[0].code == "unresolved"


def test_the_model_learns_of_the_proxy_from_the_environment(guest: Any) -> None:
    shown = guest.shell("env | grep -i _proxy | sort -f").output.splitlines()
    url = "http://127.0.0.1:3128"
    names = {line.partition("=")[0]: line.partition("=")[2] for line in shown}
    assert {names[n] for n in ("http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY")} == {url}
    assert names["no_proxy"] == names["NO_PROXY"] == "localhost,127.0.0.1,::1"
    assert guest.value("import os; os.environ['http_proxy']") == url


def test_servers_inside_the_box_are_reached_directly(guest: Any) -> None:
    since = len(guest.events)
    code = (
        "import http.server, threading, urllib.request\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers(); self.wfile.write(b'in')\n"
        "    def log_message(self, *_): pass\n"
        "s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)\n"
        "threading.Thread(target=s.serve_forever, daemon=True).start()\n"
        "got = urllib.request.urlopen(f'http://localhost:{s.server_port}/').read()\n"
        "s.shutdown(); s.server_close()\ngot"
    )
    assert guest.value(code) == b"in"
    later = {event.outcome for event in guest.events[since:]}
    assert later <= {EgressOutcome.CLOSED}  # of a connection before


def test_a_tunnel_carries_every_byte_both_ways(guest: Any, outside: Any) -> None:
    """A megabyte through TLS; its record layer would notice one wrong byte."""
    authority = f"good.example:{outside.tls}"
    guest.python(f"body = __import__('os').urandom({MEBIBYTE})")
    request = (
        f"b'POST /echo HTTP/1.1\\r\\nHost: {authority}\\r\\nConnection: close\\r\\n'"
        f" b'Content-Length: {MEBIBYTE}\\r\\n\\r\\n' + body"
    )
    call = f"talk_tls({authority!r}, 'good.example', {request}, open('authority.pem').read())"
    assert guest.value(f"{call}.endswith(b'\\r\\n\\r\\n' + body)") is True


def test_a_greeting_in_many_small_packets_opens_a_tunnel(guest: Any, outside: Any) -> None:
    authority = f"good.example:{outside.tls}"
    code = (
        f"s, answer = tunnel({authority!r})\n"
        "s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n"
        "for byte in hello('good.example'): s.sendall(bytes([byte]))\n"
        "first = s.recv(1)\ns.close()\n(answer[:12], first)"
    )
    assert guest.value(code) == (b"HTTP/1.1 200", b"\x16")  # the server's own greeting


def test_a_greeting_sent_along_with_connect_is_heard(guest: Any, outside: Any) -> None:
    authority = f"good.example:{outside.tls}"
    head = f"CONNECT {authority} HTTP/1.1\\r\\nHost: {authority}\\r\\n\\r\\n"
    code = (
        f"s = connect()\ns.sendall(b'{head}' + hello('good.example'))\n"
        "got = b''\nwhile len(got) < 60: got += s.recv(4096)\ns.close()\n"
        "got.partition(b'\\r\\n\\r\\n')[2][:1]"
    )
    assert guest.value(code) == b"\x16"


def test_a_download_streams_in_bounded_memory(guest: Any, outside: Any) -> None:
    size = 256 * MEBIBYTE
    url = f"http://good.example:{outside.http}/bytes/{size}"
    code = (
        f"import urllib.request\nr = urllib.request.urlopen({url!r})\ncount = 0\n"
        "while part := r.read(1 << 20): count += len(part)\ncount"
    )
    guest.value(f"import urllib.request\nlen(urllib.request.urlopen({url!r}).read(1))")
    before = peak_of_this_process()
    assert guest.value(code) == size
    assert peak_of_this_process() - before < 32 * MEBIBYTE


def peak_of_this_process() -> int:
    """Bytes it held at most since it was last asked."""
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(peak.split()[1]) * 1024


def test_twenty_downloads_at_once_all_arrive(guest: Any, outside: Any) -> None:
    url = f"http://good.example:{outside.http}/bytes/{MEBIBYTE}"
    code = (
        "from concurrent.futures import ThreadPoolExecutor\nimport urllib.request\n"
        f"fetch = lambda _: len(urllib.request.urlopen({url!r}).read())\n"
        "with ThreadPoolExecutor(20) as pool: sizes = [*pool.map(fetch, range(20))]\nset(sizes)"
    )
    assert guest.value(code) == {MEBIBYTE}


def wheel(name: str) -> tuple[str, bytes]:
    """A wheel of one module, made by hand."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": b"answer = 42\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
    }
    record = io.StringIO()
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record.write(f"{path},sha256={digest},{len(content)}\n")
    record.write(f"{info}/RECORD,,\n")
    files[f"{info}/RECORD"] = record.getvalue().encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return f"{name}-1.0-py3-none-any.whl", packed.getvalue()


def bundled_pip() -> Path:
    """pip as a wheel, which runs as it is; `ensurepip` has one."""
    import ensurepip

    folders = [Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels")]
    found = [path for folder in folders for path in folder.glob("pip-*.whl")]
    if not found:
        pytest.skip("no pip wheel here: neither ensurepip's nor the system's")
    return found[0]


def test_pip_installs_from_an_index_that_is_allowed_and_from_no_other(
    guest: Any, outside: Any
) -> None:
    name, content = wheel("wardian_test_parcel")
    outside.pages["/simple/wardian-test-parcel/"] = f'<a href="/files/{name}">{name}</a>'.encode()
    outside.pages[f"/files/{name}"] = content
    (guest.folder / "pip.whl").write_bytes(bundled_pip().read_bytes())
    install = (
        "python3 pip.whl/pip install --no-cache-dir --disable-pip-version-check --retries 1 "
        "--target /tmp/parcels --cert authority.pem --index-url https://HOST/simple "
        "wardian-test-parcel"
    )
    since = len(guest.events)
    refused = guest.shell(install.replace("HOST", f"other.example:{outside.tls}"))
    assert refused.exit_code != 0
    assert f"This sandbox may not reach other.example:{outside.tls}" in refused.output
    told = [event for event in guest.events[since:] if event.host == "other.example"]
    assert {event.outcome for event in told} == {EgressOutcome.DENIED}
    done = guest.shell(install.replace("HOST", f"good.example:{outside.tls}"))
    assert done.exit_code == 0, done.output
    shown = "PYTHONPATH=/tmp/parcels python3 -c 'import wardian_test_parcel as p; print(p.answer)'"
    assert guest.shell(shown).output == "42\n"


def test_curl_reaches_what_is_allowed(guest: Any, outside: Any) -> None:
    if guest.shell("command -v curl").exit_code != 0:
        pytest.skip("no curl in this box")
    fetch = f"curl -sS --cacert authority.pem https://good.example:{outside.tls}/curl"
    assert guest.shell(fetch).output == "hello /curl"
    refused = guest.shell("curl -sS https://no.example/")
    assert (refused.exit_code, "403" in refused.output) == (56, True)


def test_nothing_listens_where_no_host_is_allowed(support: Any, tmp_path: Path) -> None:
    async def scenario() -> Any:
        async with await open_sandbox("bubblewrap", tmp_path, Confinement()) as box:
            code = f"{support.CLIENT}\nconnect()"
            environment = await box.shell("env | grep -ci _proxy", Confinement())
            return await box.python(code, Confinement()), environment.output

    result, variables = asyncio.run(scenario())
    assert "ConnectionRefusedError" in result.error
    assert variables == "0\n"


@pytest.mark.parametrize("host", ["http://a.example", "*", "127.1"])
def test_a_list_that_makes_no_sense_opens_no_box(tmp_path: Path, host: str) -> None:
    within = Confinement(egress=Egress(hosts=(host,)))
    with pytest.raises(SandboxError, match="list of hosts"):
        asyncio.run(open_sandbox("bubblewrap", tmp_path, within))


def test_gvisor_says_that_it_has_no_way_out(tmp_path: Path) -> None:
    within = Confinement(egress=Egress(hosts=("a.example",)))
    with pytest.raises(SandboxUnavailable, match=r"no way out.*choose --sandbox"):
        asyncio.run(open_sandbox("gvisor", tmp_path, within))


def test_closing_the_box_ends_its_connections_and_leaves_no_descriptor(
    support: Any, outside: Any, tmp_path: Path
) -> None:
    def descriptors() -> int:
        return len([*Path("/proc/self/fd").iterdir()])

    before = descriptors()
    guest = support.Guest("bubblewrap", tmp_path, outside, outside.egress())
    guest.python(support.CLIENT)
    url = f"http://good.example:{outside.http}/bytes/{MEBIBYTE << 10}"
    head = f"GET {url} HTTP/1.1\\r\\nHost: good.example:{outside.http}\\r\\n\\r\\n"
    guest.python(f"s = connect(); s.sendall(b'{head}'); s.recv(1)")
    guest.told("allowed")
    guest.close()
    assert guest.told("closed")[0].reason in ("The sandbox was closed.", "The connection broke.")
    until = time.monotonic() + PATIENCE_SECONDS
    while descriptors() > before and time.monotonic() < until:
        time.sleep(0.01)  # a server of the test may still be noticing
    assert descriptors() <= before


def test_the_box_ends_when_too_much_was_sent(support: Any, outside: Any, tmp_path: Path) -> None:
    limits = EgressLimits(sent_bytes=100_000, received_bytes=1_000_000, total_connections=4)
    guest = support.Guest("bubblewrap", tmp_path, outside, outside.egress(limits=limits))
    guest.python(support.CLIENT)
    post = f"len(get('http://good.example:{outside.http}/', 'Content-Length: %d', method='POST', "
    post += "body=bytes(%d)))"
    try:
        assert guest.value(post % (1000, 1000)) > 1000
        assert guest.value(post % (200_000, 200_000)) < 1000
        assert guest.told("closed")[-1].code in ("", "limit")
        assert guest.value(f"get('http://good.example:{outside.http}/')[9:12]") == b"403"
        guest.value(f"get('http://good.example:{outside.http}/')[9:12]")
        last = guest.value(f"get('http://good.example:{outside.http}/')")
        assert b"has used up its 4 connections" in last
    finally:
        guest.close()


def test_a_connection_on_which_nothing_moves_is_closed(
    support: Any, outside: Any, tmp_path: Path
) -> None:
    egress = outside.egress(limits=EgressLimits(idle_seconds=2.0))
    guest = support.Guest("bubblewrap", tmp_path, outside, egress)
    guest.python(support.CLIENT)
    try:
        authority = f"good.example:{outside.raw.port}"
        code = f"s, _ = tunnel({authority!r})\ns.sendall(hello('good.example'))\nrest(s)[-2:]"
        assert guest.value(code) == b"ok"  # the server waits for more, and so do we
        assert [event.code for event in guest.told("closed")] == ["idle"]
    finally:
        guest.close()


def own_address() -> str:
    """This machine's, as others see it; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(sock.getsockname()[0])


def test_this_machine_is_not_reached_by_its_public_address(support: Any, tmp_path: Path) -> None:
    """Its services may trust whoever comes from itself; private networks are allowed here."""
    address = own_address()
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        names = support.addresses({"me.example": [address]})
        listed = [f"me.example:{port}"]
        for more, status in (([], b"403"), ([f"{address}:{port}"], b"200")):
            egress = Egress(hosts=(*listed, *more), private=True)
            guest = support.Guest("bubblewrap", tmp_path, names, egress)
            try:
                guest.python(support.CLIENT)
                answer = guest.value(f"tunnel('me.example:{port}')[1]")
                assert answer[9:12] == status, answer
            finally:
                guest.close()


def test_the_record_of_a_box_names_what_it_may_reach(tmp_path: Path) -> None:
    async def scenario() -> Any:
        within = Confinement(egress=Egress(hosts=("a.example",)))
        async with await open_sandbox("bubblewrap", tmp_path, within) as box:
            return box.identity

    identity = asyncio.run(scenario())
    assert "no-network" in identity.enforced  # of its own; its way out is the proxy
    assert identity.detail["egress"] == ["a.example"]
