"""The job of `web_search`: one engine asked, its answer as results or as what is wrong."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import httpx2

from wardian_sandbox.jobs.worker import Way
from wardian_tools.web.inside import getting
from wardian_tools.web.inside.duckduckgo import ask_duckduckgo
from wardian_tools.web.inside.getting import Unreadable

MAX_BYTES = 5 << 20
MAX_FOUND = 100
"""More than are shown, since some may have no usable address."""
FORBIDDEN = "SearXNG gives no JSON: its settings.yml must list json under search.formats."

prepare = getting.prepare


def search(
    way: Way, engine: str, url: str, key: str, query: str, most: int, seconds: float
) -> dict[str, Any]:
    """`results`, or `code` and `problem`."""
    try:
        if engine == "duckduckgo":
            return {"results": ask_duckduckgo(way, url, query, most, seconds)}
        found = ASKING[engine](way, url, key, query, most)
    except Unreadable as problem:
        return {"code": problem.code, "problem": str(problem)}
    except httpx2.HTTPError as problem:
        return {"code": "offline", "problem": f"{engine} cannot be asked: {problem}"}
    return {"results": found[:MAX_FOUND]}


def _searxng(way: Way, url: str, key: str, query: str, most: int) -> list[dict[str, Any]]:
    base = url.removesuffix("/").removesuffix("/search")
    asked = httpx2.Request("GET", f"{base}/search", params={"q": query, "format": "json"})
    answer = _asked(way, "SearXNG", asked, {403: FORBIDDEN})
    return [
        _result(item, "title", "url", "content", "publishedDate", engine="engine")
        for item in _list(answer, "SearXNG", "results")
    ]


def _brave(way: Way, url: str, key: str, query: str, most: int) -> list[dict[str, Any]]:
    asked = httpx2.Request(
        "GET", url, params={"q": query, "count": most}, headers={"X-Subscription-Token": key}
    )
    answer = _asked(way, "Brave", asked)
    web = answer.get("web", {"results": []})
    return [
        _result(item, "title", "url", "description", "page_age")
        for item in _list(web, "Brave", "results")
    ]


def _tavily(way: Way, url: str, key: str, query: str, most: int) -> list[dict[str, Any]]:
    asked = httpx2.Request(
        "POST",
        url,
        json={"query": query, "max_results": most},
        headers={"Authorization": f"Bearer {key}"},
    )
    answer = _asked(way, "Tavily", asked)
    return [
        _result(item, "title", "url", "content", "published_date")
        for item in _list(answer, "Tavily", "results")
    ]


def _serper(way: Way, url: str, key: str, query: str, most: int) -> list[dict[str, Any]]:
    asked = httpx2.Request("POST", url, json={"q": query, "num": most}, headers={"X-API-KEY": key})
    answer = _asked(way, "Serper", asked)
    return [
        _result(item, "title", "link", "snippet", "date")
        for item in _list(answer, "Serper", "organic")
    ]


Asking = Callable[[Way, str, str, str, int], list[dict[str, Any]]]
ASKING: Mapping[str, Asking] = {
    "searxng": _searxng,
    "brave": _brave,
    "tavily": _tavily,
    "serper": _serper,
}


def _asked(
    way: Way, engine: str, request: httpx2.Request, known: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """The JSON object that an API answers. Raises: Unreadable, httpx2.HTTPError."""
    until = time.monotonic() + getting.IDLE_SECONDS
    with getting.client(way) as web:
        request.headers.update({"Accept": "application/json", "User-Agent": getting.USER_AGENT})
        answer = getting.send(web, request, most_bytes=MAX_BYTES, until=until)
    if known and answer.status in known:
        raise Unreadable("refused", known[answer.status])
    if answer.status in (202, 429):
        waiting = answer.headers.get("retry-after")
        when = f"after {waiting[:40]}" if waiting else "later"
        raise Unreadable("rate_limited", f"{engine} was asked too often. Search again {when}.")
    if answer.status in (401, 403):
        raise Unreadable("refused", f"{engine} answered {answer.status}: it refuses this key.")
    if answer.status in (402, 432, 433):
        raise Unreadable("refused", f"{engine} answered {answer.status}: the plan is used up.")
    if answer.status != 200:
        raise Unreadable("failed", f"{engine} answered {answer.status}. Search again later.")
    try:
        parsed: object = json.loads(answer.body)
    except (ValueError, RecursionError) as problem:
        raise _changed(engine) from problem
    if not isinstance(parsed, dict):
        raise _changed(engine)
    return cast("dict[str, Any]", parsed)


def _list(answer: object, engine: str, name: str) -> list[dict[str, Any]]:
    found = cast("dict[str, object]", answer).get(name) if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise _changed(engine)
    items = cast("list[object]", found)
    usable = [cast("dict[str, Any]", one) for one in items if isinstance(one, dict)]
    if items and not usable:
        raise _changed(engine)
    return usable


def _changed(engine: str) -> Unreadable:
    sentence = (
        f"{engine} no longer answers as it did. Set another engine, or look for a new Wardian."
    )
    return Unreadable("changed", sentence)


def _result(
    item: dict[str, Any], title: str, url: str, snippet: str, date: str, engine: str = ""
) -> dict[str, Any]:
    named = {"title": title, "url": url, "snippet": snippet, "date": date, "engine": engine}
    return {name: str(item.get(key) or "") for name, key in named.items() if key}
