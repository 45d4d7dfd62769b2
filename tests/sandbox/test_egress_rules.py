"""Names, addresses, and what a list of hosts says of them."""

import asyncio
from ipaddress import ip_address

import pytest

from wardian_sandbox import Egress, SandboxError
from wardian_sandbox.choosing import choose
from wardian_sandbox.egress.addresses import kind_of
from wardian_sandbox.egress.dialling import look_up
from wardian_sandbox.egress.names import BadName, parse_host, show
from wardian_sandbox.egress.refused import Refused
from wardian_sandbox.egress.rules import Rules, parse_host_rule
from wardian_sandbox.opening import proxy_for
from wardian_sandbox.types import Confinement


def is_reachable(rules: Rules, host: str, port: int) -> bool:
    try:
        rules.check_target(parse_host(host), port)
    except Refused:
        return False
    return True


@pytest.mark.parametrize(
    ("listed", "reached", "refused"),
    [
        ("example.org", "example.org", "evil-example.org"),
        ("example.org", "EXAMPLE.org.", "example.org.evil.net"),
        ("example.org", "example.org", "sub.example.org"),
        ("*.example.org", "a.example.org", "example.org"),
        ("*.example.org", "a.b.example.org", "evil-example.org"),
        ("*.example.org", "a.EXAMPLE.org", "example.org.evil.net"),
        ("EXAMPLE.org.", "example.org", "example.com"),
        ("bücher.example", "xn--bcher-kva.example", "bucher.example"),
        ("straße.example", "xn--strae-oqa.example", "strasse.example"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.70"),
        ("[2001:db8::7]", "[2001:0db8:0::0007]", "[2001:db8::8]"),
        ("a_b.example", "a_b.example", "b.example"),
    ],
)
def test_a_rule_names_its_hosts_and_no_others(listed: str, reached: str, refused: str) -> None:
    rules = Rules(Egress(hosts=(listed,)))
    assert is_reachable(rules, reached, 443)
    assert is_reachable(rules, reached, 80)
    assert not is_reachable(rules, refused, 443)


def test_what_is_refused_is_not_reached_whatever_is_listed() -> None:
    refused = ("hr.example", "*.hr.example", "192.0.2.7")
    rules = Rules(Egress(hosts=("*.example", "odd.hr.example:8443", "192.0.2.7"), refused=refused))
    assert is_reachable(rules, "www.example", 443)
    assert not is_reachable(rules, "hr.example", 443)
    assert not is_reachable(rules, "odd.hr.example", 8443)
    assert not is_reachable(rules, "192.0.2.7", 80)
    with pytest.raises(Refused, match="the policy keeps it from this run"):
        rules.check_address("www.example", ip_address("192.0.2.7"), 443)


def test_other_ports_have_to_be_named() -> None:
    rules = Rules(Egress(hosts=("example.org", "odd.example:8443", "[2001:db8::7]:22")))
    assert not is_reachable(rules, "example.org", 22)
    assert is_reachable(rules, "odd.example", 8443)
    assert not is_reachable(rules, "odd.example", 443)
    assert is_reachable(rules, "[2001:db8::7]", 22)
    with pytest.raises(Refused, match="on port 80 and 443 only, not on 22"):
        rules.check_target("example.org", 22)


def test_a_refusal_says_what_may_be_reached() -> None:
    rules = Rules(Egress(hosts=tuple(f"h{n}.example" for n in range(10))))
    with pytest.raises(Refused, match=r"may not reach x.example:443; .* h0.example, .* and 2 more"):
        rules.check_target("x.example", 443)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.1.2",
        "1.2.3.256",
        "example.1",
        "example.0x",
        "[::ffff:127.0.0.1]",
        "[::FFFF:7f00:1]",
        "[fe80::1%eth0]",
        "[fe80::1%25eth0]",
        "[::1",
        "[]",
        "",
        ".",
        "a..b",
        ".example.org",
        "example.org..",
        "-a.example",
        "a-.example",
        "a b.example",
        "a%2eb.example",
        "a\0.example",
        "exam\u0440le.org",
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5),
        "user@example.org",
        "example.org/path",
        "::1",
    ],
)
def test_what_resolvers_could_read_in_two_ways_is_no_host(host: str) -> None:
    with pytest.raises(BadName):
        parse_host(host)


@pytest.mark.parametrize(
    "text",
    [
        *("*", "*.", "*.*.example.org", "a.*.org", "http://a.example", "a.example:", "a.example:0"),
        *("a.example:65536", "a.example:+1", "a.example:080", "*.127.0.0.1", "1.2.3", "a b"),
        *("a.example:443:444", "::1", "[::1]443", "a.example/x", "u@a.example", ""),
    ],
)
def test_an_entry_that_is_no_rule_is_an_error(text: str) -> None:
    with pytest.raises(BadName):
        parse_host_rule(text)
    with pytest.raises(SandboxError, match="Write each as"):
        proxy_for(Confinement(egress=Egress(hosts=(text or " ",))), print, look_up)


SPECIAL = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.1.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "4000::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", SPECIAL)
def test_special_addresses_are_refused_unless_they_are_listed(text: str) -> None:
    address = ip_address(text)
    rules = Rules(Egress(hosts=("example.org",)))
    with pytest.raises(Refused, match=r"example.org leads to "):
        rules.check_address("example.org", address, 443)
    if getattr(address, "ipv4_mapped", None) is None:
        listed = Rules(Egress(hosts=("example.org", show(address, 443))))
        listed.check_address("example.org", address, 443)
        with pytest.raises(Refused):
            listed.check_address("example.org", address, 80)


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1"]
)
def test_public_addresses_are_dialled(text: str) -> None:
    assert kind_of(ip_address(text)) is None
    Rules(Egress(hosts=("example.org",))).check_address("example.org", ip_address(text), 443)


@pytest.mark.parametrize("text", SPECIAL)
def test_private_networks_are_opened_without_what_lies_among_them(text: str) -> None:
    rules = Rules(Egress(hosts=("example.org",), private=True))
    opened = {"10.1.2.3", "100.64.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1"}
    if text in opened:
        rules.check_address("example.org", ip_address(text), 443)
    else:
        with pytest.raises(Refused):
            rules.check_address("example.org", ip_address(text), 443)


def test_names_are_looked_up_as_the_system_does() -> None:
    assert "127.0.0.1" in asyncio.run(look_up("localhost"))
    with pytest.raises(OSError, match=r"not known|resolution|No address"):
        asyncio.run(look_up("no-such-name.invalid"))


def test_auto_takes_a_sandbox_that_has_a_way_out_where_one_is_needed() -> None:
    choice = asyncio.run(choose("auto", reaches_hosts=True))
    assert choice.backend in ("bubblewrap", "docker")
    assert "not gvisor: gVisor has no way out" in choice.why


@pytest.mark.parametrize("text", ["http://example.org", "example.org/path", "https://a:80/"])
def test_a_url_is_no_host_and_is_told_so(text: str) -> None:
    with pytest.raises(BadName, match="without a scheme and a path"):
        parse_host_rule(text)
