"""Host names and addresses in the one spelling in which they are compared.

Covers: case, a trailing dot, international names in rules; every spelling of an address but the
plain one is no name and no address, since resolvers disagree on them (`0x7f.1`, `2130706433`,
`127.1`, `0177.0.0.1`, `::ffff:127.0.0.1`).
"""

import functools
import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address
Host = Address | str
"""A name is lower-case ASCII without its trailing dot."""

MAX_NAME = 253
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
"""Letters, digits and hyphens, and the underscore that some real names have.
Source: RFC 1123, 2.1; RFC 2181, 11."""
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label like this makes the whole an address. Source: WHATWG URL, "ends in a number"."""


class BadName(ValueError):
    """No host name and no plainly written address; the message completes "the host …"."""


@functools.lru_cache(maxsize=256)  # a box asks for the same few again and again
def parse_host(text: str) -> Host:
    """The host that ASCII `text` names, an IPv6 address being in brackets. Raises: BadName."""
    if text.startswith("["):
        return _ipv6(text)
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if not name or len(name) > MAX_NAME or not all(LABEL.fullmatch(label) for label in labels):
        raise BadName("is not a host name")
    if NUMBER.fullmatch(labels[-1]):
        try:
            return IPv4Address(name)
        except AddressValueError:
            raise BadName("is an address in another spelling than four decimal numbers") from None
    return name


def _ipv6(text: str) -> IPv6Address:
    if not text.endswith("]") or "%" in text:
        raise BadName("is not an IPv6 address in brackets without a zone")
    try:
        address = IPv6Address(text[1:-1])
    except AddressValueError:
        raise BadName("is not an IPv6 address in brackets") from None
    if address.ipv4_mapped is not None:
        raise BadName("is an IPv4 address in the spelling of IPv6")
    return address


def parse_port(text: str) -> int:
    """1 to 65535, in plain decimal. Raises: BadName."""
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text) or int(text) > 0xFFFF:
        raise BadName("has a port that is no number from 1 to 65535")
    return int(text)


def split_port(text: str) -> tuple[str, str | None]:
    """The host's part and the port's, as written; None where there is no colon after the host."""
    end = text.rfind("]") if text.startswith("[") else 0
    colon = text.find(":", max(end, 0))
    return (text, None) if colon < 0 else (text[:colon], text[colon + 1 :])


def to_ascii(name: str) -> str:
    """An international name as the DNS has it. Raises: BadName."""
    if name.isascii():
        return name
    import idna

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise BadName("is not a valid international name") from error


def show(host: Host, port: int) -> str:
    """`example.org:443`, `[2001:db8::1]:443`."""
    return f"[{host}]:{port}" if isinstance(host, IPv6Address) else f"{host}:{port}"
