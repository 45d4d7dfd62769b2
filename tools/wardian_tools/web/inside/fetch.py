"""The job of `web_fetch`: redirects followed one by one, robots.txt asked first, the page read."""

import time
from contextlib import suppress
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import urljoin

import httpx2

from wardian_sandbox.jobs.worker import Way
from wardian_tools.web.address import BadAddress, WebAddress, parse_url
from wardian_tools.web.inside import getting
from wardian_tools.web.inside.getting import Answer, Unreadable, get
from wardian_tools.web.inside.reading import Page, read
from wardian_tools.web.inside.robots import Robots

MAX_REDIRECTS = 8
MAX_BODY_BYTES = 10 << 20
ACCEPT = "text/html,text/*,application/json,application/pdf,image/*;q=0.8,*/*;q=0.5"
MAX_ERROR_CHARS = 1000

REHEARSAL = (
    "<html><head><title>A page</title></head><body><article><h1>A page</h1>"
    f"<p>{'With some text. ' * 20}</p><table><tr><td>1</td></tr></table></article></body></html>"
)


def prepare(way: Way) -> None:
    """Do once what the libraries put off until they are first used: each job is a fork of this."""
    getting.prepare(way)
    getting.client(way).close()
    parse_url("https://example.org/")
    with suppress(Unreadable):  # an extra that is not installed: a job says so
        headers = {"content-type": "text/html"}
        page = Answer(status=200, headers=headers, body=REHEARSAL.encode(), is_whole=True)
        read(page, "https://example.org/")


def fetch(way: Way, url: str, seconds: float, robots: dict[str, str] | None) -> dict[str, Any]:
    """What the page says, or what is wrong: JSON for `wardian_tools.web.fetching`.

    `robots` is what is known of sites' robots.txt; None ignores them.
    """
    until = time.monotonic() + seconds
    address = parse_url(url)
    found: dict[str, Any] = {}
    with getting.client(way) as web:
        known = None if robots is None else Robots(web, robots, until)
        try:
            address, answer = _followed(web, address, known, until, found)
            found |= _shown(answer, address)
        except Unreadable as problem:
            found |= {"code": problem.code, "problem": str(problem)}
        except httpx2.HTTPError as problem:
            found |= {"code": "failed", "problem": _said(problem)}
    if known is not None:
        found["robots"] = known.learned
    return found


def _followed(
    web: httpx2.Client,
    address: WebAddress,
    robots: Robots | None,
    until: float,
    found: dict[str, Any],
) -> tuple[WebAddress, Answer]:
    """The page at the end of the redirects. Raises: Unreadable, httpx2.HTTPError."""
    seen: set[str] = set()
    while True:
        found["url"] = str(address)
        if str(address) in seen:
            raise Unreadable("redirects", f"The page redirects in a circle, back to {address}.")
        if len(seen) > MAX_REDIRECTS:
            raise Unreadable("redirects", f"The page redirects more than {MAX_REDIRECTS} times.")
        seen.add(str(address))
        if address.scheme == "https" and isinstance(address.host, IPv6Address):
            raise Unreadable(
                "unsupported", f"{address} names an IPv6 address. Use the host's name."
            )
        if robots is not None and not robots.lets(address):
            raise Unreadable(
                "robots",
                f"The site's robots.txt asks programs not to fetch {address}. "
                "A person can allow it: in the policy file, under [network], ignore_robots = true.",
            )
        answer = get(web, str(address), most_bytes=MAX_BODY_BYTES, until=until, accept=ACCEPT)
        if not answer.location:
            return address, answer
        address = _next(address, answer.location)


def _next(address: WebAddress, location: str) -> WebAddress:
    try:
        target = parse_url(urljoin(str(address), location))
    except (BadAddress, ValueError) as problem:
        raise Unreadable("redirects", f"It leads on to {location[:200]!r}. {problem}") from problem
    if address.scheme == "https" and target.scheme == "http":
        raise Unreadable("redirects", f"{address} redirects from https to http, to {target}.")
    return target


def _shown(answer: Answer, address: WebAddress) -> dict[str, Any]:
    shown: dict[str, Any] = {"status": answer.status, "is_loaded": answer.is_whole}
    for name in ("retry-after", "cf-mitigated"):
        if name in answer.headers:
            shown[name.replace("-", "_")] = answer.headers[name][:100]
    if answer.status >= 400:
        return shown | {"text": _excerpt(answer, address)}
    page = read(answer, str(address))
    return shown | {
        "kind": page.kind,
        "mime": page.mime,
        "text": page.text,
        "is_whole": page.is_whole,
        "title": page.title,
        "image": page.image,
        "size_bytes": len(answer.body),
    }


def _excerpt(answer: Answer, address: WebAddress) -> str:
    """The beginning of an error's page, if it can be read."""
    try:
        page: Page = read(answer, str(address))
    except Unreadable:
        return ""
    return page.text[:MAX_ERROR_CHARS]


def _said(problem: httpx2.HTTPError) -> str:
    return f"{type(problem).__name__}: {problem}"[:300]
