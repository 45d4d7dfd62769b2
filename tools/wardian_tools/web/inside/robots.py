"""What sites' robots.txt let a program fetch. Source: RFC 9309."""

from urllib.parse import urljoin
from urllib.robotparser import RobotFileParser

import httpx2

from wardian_sandbox.egress.names import show
from wardian_tools.web.address import BadAddress, WebAddress, parse_url
from wardian_tools.web.inside.charset import decoded
from wardian_tools.web.inside.getting import ROBOT, Answer, Unreadable, get

MAX_BYTES = 500 << 10
"""As much of it as must be read. Source: RFC 9309, 2.5."""
MAX_REDIRECTS = 5
EVERYTHING = ""


class Robots:
    """Of the sites asked in one job, and what was known before."""

    def __init__(self, web: httpx2.Client, known: dict[str, str], until: float) -> None:
        """`known` is site → its robots.txt."""
        self._web = web
        self._until = until
        self._known = dict(known)
        self.learned: dict[str, str] = {}
        """What was not known before."""

    def lets(self, address: WebAddress) -> bool:
        """May a program fetch this? Raises: Unreadable, httpx2.HTTPError when nobody can say."""
        site = f"{address.scheme}://{show(address.host, address.port)}"
        if site not in self._known:
            self._known[site] = self.learned[site] = self._asked(address)
        parser = RobotFileParser()
        parser.parse(self._known[site].splitlines())
        return parser.can_fetch(ROBOT, str(address))

    def _asked(self, address: WebAddress) -> str:
        """2.3.1: a site without one allows all; one whose server fails allows nothing for now."""
        url = urljoin(str(address), "/robots.txt")
        for _ in range(MAX_REDIRECTS + 1):
            answer = get(
                self._web, url, most_bytes=MAX_BYTES, until=self._until, accept="text/plain"
            )
            if not answer.location:
                return _rules(answer)
            try:
                url = str(parse_url(urljoin(url, answer.location)))
            except (BadAddress, ValueError):
                return EVERYTHING
        return EVERYTHING


def _rules(answer: Answer) -> str:
    """Raises: Unreadable."""
    if answer.status >= 500:
        sentence = f"The site's robots.txt cannot be had: its server answered {answer.status}."
        raise Unreadable("robots", f"{sentence} Nothing of the site is fetched for now.")
    if answer.status >= 400:
        return EVERYTHING
    return decoded(answer.body, answer.headers.get("content-type", ""))[0]
