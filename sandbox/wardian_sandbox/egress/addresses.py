"""Which addresses a host name may lead to.

Covers: everything that is not the public internet (IANA's special-purpose registries), IPv4 in any
IPv6 disguise, and where clouds keep their machines' credentials, some of which is public space.
"""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from wardian_sandbox.egress.names import Address

Network = IPv4Network | IPv6Network
GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All there is of the public internet in IPv6. Source: RFC 4291, 2.4; IANA."""


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


METADATA = "a cloud's metadata service"
# Source: IANA IPv4 and IPv6 Special-Purpose Address Registries, RFC 6890, RFC 9637.
KINDS: tuple[tuple[str, tuple[Network, ...]], ...] = (
    (
        METADATA,
        _networks(
            "169.254.169.254/32",  # AWS, Google, Azure and others
            "169.254.170.0/24",  # AWS containers
            "168.63.129.16/32",  # Azure, in public space
            "100.100.100.200/32",  # Alibaba
            "192.0.0.192/32",  # Oracle
            "fd00:ec2::/32",  # AWS
            "fd20:ce::/32",  # Google
        ),
    ),
    ("a loopback address", _networks("127.0.0.0/8", "::1/128")),
    ("a link-local address", _networks("169.254.0.0/16", "fe80::/10")),
    (
        "a multicast or broadcast address",
        _networks("224.0.0.0/4", "255.255.255.255/32", "ff00::/8"),
    ),
    (
        "an IPv4 address inside an IPv6 one",
        _networks("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"),
    ),
    (
        "a private address",
        _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    ),
    (
        "a reserved address",
        _networks(
            *("0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
            *("2001::/23", "2001:db8::/32", "3fff::/20"),
        ),
    ),
)
PRIVATE = "a private address"
RESERVED = "a reserved address"


def kind_of(address: Address) -> str | None:
    """What is special about an address, for a sentence; None for the public internet's."""
    for kind, networks in KINDS:
        if any(address.version == one.version and address in one for one in networks):
            return kind
    return RESERVED if address.version == 6 and address not in GLOBAL_UNICAST else None


def parse_address(text: str) -> Address:
    """An address as a resolver gives it. Raises: ValueError."""
    return ip_address(text)
