"""DuckDuckGo by `ddgs`, which has an HTTP client of its own: here it has one way out.

Its engine is used for what it knows, the request and the page; how the server answered is looked at
here, since `ddgs` tells a refusal from no results no more.
"""

from typing import Any

from wardian_sandbox.jobs.worker import Way
from wardian_tools.web.inside.getting import Unreadable

LIMITED = (202, 429)
CAPTCHA = ("anomaly-modal", "anomaly.js", "challenge-form", "captcha")
NOTHING = ("no-results", "No results.", "no results found")
OTHERS = "Wait some minutes, or set another engine: agent config set search_engine searxng"


def ask_duckduckgo(
    way: Way, url: str, query: str, most: int, seconds: float
) -> list[dict[str, Any]]:
    """Raises: Unreadable."""
    import primp
    from ddgs.engines.duckduckgo import Duckduckgo
    from ddgs.exceptions import DDGSException, TimeoutException

    class Watched(Duckduckgo):
        """Keeps what its base class throws away."""

        status = 0
        page = ""

        def request(self, *args: Any, **kwargs: Any) -> str | None:
            response = self.http_client.request(*args, **kwargs)
            self.status, self.page = response.status_code, response.text or ""
            return self.page if self.status == 200 else None

    engine = Watched()
    engine.search_url = url
    engine.http_client.client = primp.Client(
        proxy=way.proxy,
        timeout=seconds,
        # Of the browsers that ddgs takes turns at being, the one whose TLS greeting has no
        # encrypted part: the proxy lets no greeting pass whose host it cannot see.
        impersonate="safari",
        ca_cert_file=way.authorities or None,
    )
    try:
        found = engine.search(query)
    except TimeoutException as problem:
        raise Unreadable("slow", "DuckDuckGo took too long to answer.") from problem
    except DDGSException as problem:
        raise Unreadable("offline", f"DuckDuckGo cannot be reached: {problem}"[:300]) from problem
    except Exception as problem:
        raise _changed() from problem
    if not found:
        _explain(engine.status, engine.page)
    return [{"title": one.title, "url": one.href, "snippet": one.body} for one in found or ()][
        :most
    ]


def _explain(status: int, page: str) -> None:
    """Why nothing was found. Raises: Unreadable, unless it is that there is nothing."""
    # The page of a captcha comes with 202 too.
    if any(sign in page for sign in CAPTCHA):
        sentence = f"DuckDuckGo wants proof that a person searches. {OTHERS}"
        raise Unreadable("captcha", sentence)
    if status in LIMITED:
        raise Unreadable("rate_limited", f"DuckDuckGo was asked too often ({status}). {OTHERS}")
    if status != 200:
        raise Unreadable("failed", f"DuckDuckGo answered {status}. {OTHERS}")
    if not any(sign in page for sign in NOTHING):
        raise _changed()


def _changed() -> Unreadable:
    sentence = "DuckDuckGo's page is not as ddgs knows it. Update ddgs, or set another engine."
    return Unreadable("changed", sentence)
