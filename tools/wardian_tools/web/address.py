"""A URL as a model writes it, in the one spelling in which it is asked for.

Covers: other schemes than http and https, user names and passwords, other spellings of addresses
(octal, hexadecimal, short, IPv4 in IPv6), international names, control characters, length.
"""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from wardian_sandbox.egress.names import BadName, Host, parse_host, parse_port, show, to_ascii

MAX_URL_CHARS = 4000
PORTS = {"http": 80, "https": 443}
KEPT = "!#$%&'()*+,/:;=?@[]~-._"
"""What stands in paths and queries as it is. Source: RFC 3986, 2.2, 2.3; % for what is encoded."""


class BadAddress(ValueError):
    """No URL that is fetched; the message is a sentence with its remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAddress:
    """A checked URL. Whether it may be reached is not said."""

    scheme: str
    host: Host
    port: int
    target: str
    """Path and query, encoded."""

    @property
    def rule(self) -> str:
        """The host as the policy's list names it."""
        shown = show(self.host, self.port)
        return shown.removesuffix(f":{self.port}") if self.port in PORTS.values() else shown

    def __str__(self) -> str:
        shown = show(self.host, self.port).removesuffix(f":{PORTS[self.scheme]}")
        return f"{self.scheme}://{shown}{self.target}"


def parse_url(text: str) -> WebAddress:
    """Raises: BadAddress."""
    text = text.strip()
    if len(text) > MAX_URL_CHARS:
        raise BadAddress(f"The URL is longer than {MAX_URL_CHARS} characters. Use a shorter one.")
    if any(ord(character) < 0x21 or ord(character) == 0x7F for character in text):
        raise BadAddress("The URL has spaces or control characters. Write them as %20 and so on.")
    try:
        parts = urlsplit(text)
    except ValueError as problem:
        raise BadAddress(f"This is not a URL: {problem}. Write https://host/path.") from problem
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise BadAddress("Only http and https URLs are fetched. Write https://host/path.")
    if "@" in parts.netloc:
        raise BadAddress("A user name or password in a URL is refused. Leave it out.")
    host, port = _authority(parts.netloc, PORTS[scheme])
    query = f"?{parts.query}" if parts.query else ""
    target = quote((parts.path or "/") + query, safe=KEPT)
    return WebAddress(scheme=scheme, host=host, port=port, target=target)


def _authority(netloc: str, usual: int) -> tuple[Host, int]:
    name, written = netloc, ""
    if "]" in netloc or netloc.count(":") == 1:
        name, _, written = netloc.rpartition(":") if not netloc.endswith("]") else (netloc, "", "")
    try:
        return parse_host(to_ascii(name)), parse_port(written) if written else usual
    except BadName as problem:
        raise BadAddress(f"The host of the URL {problem}. Write https://host/path.") from problem
