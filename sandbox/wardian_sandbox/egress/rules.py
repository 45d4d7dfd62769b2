"""What may be reached: the list of a box, and what it says of a host, a port, an address."""

from collections.abc import Iterable
from dataclasses import dataclass

from wardian_sandbox.egress.addresses import PRIVATE, kind_of
from wardian_sandbox.egress.names import (
    Address,
    BadName,
    Host,
    parse_host,
    parse_port,
    show,
    split_port,
    to_ascii,
)
from wardian_sandbox.egress.refused import Refused
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.types import Egress

DEFAULT_PORTS = (443, 80)
BELOW = "*."
SHOWN_RULES = 8


@dataclass(frozen=True, slots=True)
class HostRule:
    """One entry of the list, understood."""

    host: Host
    is_suffix: bool
    """Names what is below `host`, not `host` itself."""
    ports: tuple[int, ...]

    def names(self, host: Host, port: int) -> bool:
        return port in self.ports and self.names_host(host)

    def covers(self, other: "HostRule") -> bool:
        """Does it name everything that `other` names?"""
        is_same = (self.host, self.is_suffix) == (other.host, other.is_suffix)
        is_below = self.names_host(other.host) and self.is_suffix >= other.is_suffix
        return set(other.ports) <= set(self.ports) and (is_same or is_below)

    def names_host(self, host: Host) -> bool:
        """Whatever the port?"""
        if not self.is_suffix:
            return host == self.host
        # With its dot, so on a label's boundary: evil-example.org is not below example.org.
        return isinstance(host, str) and host.endswith(f".{self.host}")


def parse_host_rule(text: str) -> HostRule:
    """`example.org`, `*.example.org:8443`, `192.0.2.7:80`, `[2001:db8::1]`.

    Raises: BadName, whose message is a sentence.
    """
    if "/" in text:
        raise BadName(f"{text!r} is no host: write it without a scheme and a path.")
    name, port = split_port(text.strip())
    is_suffix = name.startswith(BELOW)
    try:
        host = parse_host(to_ascii(name.removeprefix(BELOW)))
        ports = DEFAULT_PORTS if port is None else (parse_port(port),)
    except BadName as problem:
        raise BadName(f"{text!r} {problem}.") from problem
    if is_suffix and not isinstance(host, str):
        raise BadName(f"{text!r} has an address below '*.'.")
    return HostRule(host, is_suffix, ports)


def unusable(problem: BadName) -> SandboxError:
    """What a list with an entry that is none comes to."""
    return SandboxError(
        f"The list of hosts cannot be used: {problem}",
        "Write each as 'example.org', '*.example.org' or '192.0.2.7:8080'.",
    )


class Rules:
    """Everything that decides, without a socket or a clock."""

    def __init__(self, egress: Egress, *, is_web: bool = False) -> None:
        """`is_web` is for web tools, which `any_web` may let go further. Raises: BadName."""
        self._rules = tuple(parse_host_rule(text) for text in egress.hosts)
        self._refused = tuple(parse_host_rule(text) for text in egress.refused)
        self._shown = _list(egress.hosts) or "public hosts on their usual ports"
        self._is_private_allowed = egress.private
        self._is_any_public_allowed = is_web and egress.any_web

    def check_target(self, host: Host, port: int) -> None:
        """Before anything is looked up. Raises: Refused."""
        self._check_refused(host)
        if self.lists(host, port):
            return
        if self._is_any_public_allowed and port in DEFAULT_PORTS:
            return
        listed = {p for rule in self._rules for p in rule.ports if rule.names(host, p)}
        if listed:
            ports = " and ".join(str(port) for port in sorted(listed))
            sentence = f"This sandbox may reach {host} on port {ports} only, not on {port}."
            raise Refused("port", sentence)
        raise Refused(
            "not_listed",
            f"This sandbox may not reach {show(host, port)}; it may reach only {self._shown}.",
        )

    def check_address(self, host: Host, address: Address, port: int) -> None:
        """Before it is dialled. Raises: Refused."""
        self._check_refused(address)
        if self.lists(address, port):
            return
        kind = kind_of(address)
        if kind is None:
            return
        is_meant = not self._is_any_public_allowed or self.lists(host, port)
        if kind == PRIVATE and self._is_private_allowed and is_meant:
            return
        leads = f"{host} is {kind}" if host == address else f"{host} leads to {address}, {kind}"
        raise Refused("address", f"{leads}, which is not on the list.")

    def _check_refused(self, host: Host) -> None:
        if any(rule.names_host(host) for rule in self._refused):
            sentence = f"This sandbox may not reach {host}: the policy keeps it from this run."
            raise Refused("refused", sentence)

    def lists(self, host: Host, port: int) -> bool:
        return any(rule.names(host, port) for rule in self._rules)


def _list(hosts: Iterable[str]) -> str:
    ascii_hosts = [to_ascii(host) if host.isascii() else repr(host)[1:-1] for host in hosts]
    shown = ", ".join(ascii_hosts[:SHOWN_RULES])
    more = len(ascii_hosts) - SHOWN_RULES
    return f"{shown} and {more} more" if more > 0 else shown
