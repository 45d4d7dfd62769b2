"""`web_search` by engines with an API, at servers whose answers have their shape."""

import json
from typing import Any

import pytest

from wardian_tools import ResultStatus, SearchEngine, ToolDefinitionError, search_engine

KEY = "key-of-the-engine-4711"


def one(**fields: str) -> dict[str, str]:
    return {"title": "T", "url": "https://x.example/", **fields}


ANSWERS: dict[str, tuple[str, dict[str, Any]]] = {
    # engine: (what carries its key, an answer)
    "searxng": (
        "",
        {"results": [one(content="S", engine="mojeek", publishedDate="2026-01-02")], "query": "q"},
    ),
    "brave": (
        "x-subscription-token",
        {"type": "search", "web": {"results": [one(description="S", page_age="2026-01-02")]}},
    ),
    "tavily": ("authorization", {"results": [one(content="S", published_date="2026-01-02")]}),
    "serper": (
        "x-api-key",
        {
            "organic": [
                {"title": "T", "link": "https://x.example/", "snippet": "S", "date": "2026-01-02"}
            ]
        },
    ),
}


def configured(site: Any, name: str) -> SearchEngine:
    """The engine at a page of its own."""
    path = "/searxng" if name == "searxng" else f"/{name}"
    return SearchEngine(
        name=name, url=site.url(path, secure=True), key=KEY if name != "searxng" else ""
    )


def put(site: Any, support: Any, name: str, reply: Any) -> None:
    path = "/searxng/search" if name == "searxng" else f"/{name}"
    if isinstance(reply, dict):
        reply = support.Reply(body=json.dumps(reply).encode(), type="application/json")
    site.put(path, reply)


@pytest.mark.parametrize("name", ANSWERS)
def test_its_results_are_typed_and_its_key_is_sent_to_it(
    site: Any, browser: Any, support: Any, name: str
) -> None:
    header, answer = ANSWERS[name]
    put(site, support, name, answer)
    result = browser.search("two words", configured(site, name))
    assert result.status is ResultStatus.OK, result.content
    engine = "mojeek" if name == "searxng" else name
    assert result.data["results"] == [
        {
            "title": "T",
            "url": "https://x.example/",
            "snippet": "S",
            "engine": engine,
            "date": "2026-01-02",
        }
    ]
    assert result.content == "1. T (2026-01-02)\n   https://x.example/\n   S"
    asked = site.asked[-1]
    assert "two+words" in asked.path or b"two words" in asked.body
    assert not header or KEY in asked.headers[header]
    assert KEY not in json.dumps([result.content, result.data])


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (429, b"{}", "rate_limited"),
        (401, b"{}", "refused"),
        (500, b"oops", "failed"),
        (200, b"<html>not JSON</html>", "changed"),
        (200, b"[]", "changed"),
        (200, b'{"other": 1, "web": {}}', "changed"),
        (200, b"[" * 100_000, "changed"),
    ],
    ids=["429", "401", "500", "html", "list", "other", "deep"],
)
def test_an_answer_without_results_says_why(
    site: Any, browser: Any, support: Any, name: str, status: int, body: bytes, code: str
) -> None:
    put(site, support, name, support.Reply(body=body, status=status, type="application/json"))
    result = browser.search("anything", configured(site, name))
    assert (result.status, result.data["code"]) == (ResultStatus.ERROR, code), result.content


def test_results_of_odd_shapes_do_not_hide_the_good_ones(
    site: Any, browser: Any, support: Any
) -> None:
    odd: list[Any] = [1, None, {}, {"url": 5, "title": []}, one(content="S")]
    put(site, support, "searxng", {"results": odd})
    result = browser.search("odd", configured(site, "searxng"))
    assert [found["title"] for found in result.data["results"]] == ["T"]


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([1, None, "text"], "changed"),
        ([{"title": "T", "url": "javascript:alert(1)"}, {"title": "U"}], "unusable"),
    ],
    ids=["shapes", "addresses"],
)
def test_results_none_of_which_is_usable_are_not_said_to_be_nothing(
    site: Any, browser: Any, support: Any, results: list[Any], code: str
) -> None:
    put(site, support, "searxng", {"results": results})
    result = browser.search(f"unusable {code}", configured(site, "searxng"))
    assert (result.status, result.data["code"]) == (ResultStatus.ERROR, code)
    assert "finds nothing" not in result.content


def test_unusable_results_before_a_good_one_do_not_use_up_what_was_asked_for(
    site: Any, browser: Any, support: Any
) -> None:
    put(site, support, "searxng", {"results": [{"url": "no"}] * 30 + [one(content="S")]})
    result = browser.search("late", configured(site, "searxng"))
    assert [found["title"] for found in result.data["results"]] == ["T"]


def test_a_searxng_that_gives_no_json_says_what_to_set(
    site: Any, browser: Any, support: Any
) -> None:
    put(site, support, "searxng", support.Reply(body=b"", status=403))
    result = browser.search("formats", configured(site, "searxng"))
    assert "settings.yml must list json under search.formats" in result.content


def test_when_to_search_again_is_said_where_the_engine_says_it(
    site: Any, browser: Any, support: Any
) -> None:
    put(site, support, "brave", support.Reply(status=429, headers={"Retry-After": "30"}))
    assert "Search again after 30." in browser.search("again", configured(site, "brave")).content


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (SearchEngine(name="brave"), "set BRAVE_API_KEY"),
        (SearchEngine(name="searxng"), "agent config set search_url"),
        (SearchEngine(name="searxng", url="http://user@x.example/"), "search_url cannot be used"),
    ],
    ids=["no-key", "no-url", "bad-url"],
)
def test_what_an_engine_lacks_is_said(browser: Any, engine: SearchEngine, said: str) -> None:
    result = browser.search("anything", engine)
    assert (result.status, result.data["code"]) == (ResultStatus.ERROR, "misconfigured")
    assert said in result.content


def test_the_key_is_found_in_the_engine_s_own_variable_and_shown_by_nothing() -> None:
    engine = search_engine("tavily", "", {"TAVILY_API_KEY": KEY, "BRAVE_API_KEY": "other"})
    assert engine.key == KEY
    assert KEY not in repr(engine)
    assert search_engine("duckduckgo", "", {"TAVILY_API_KEY": KEY}).key == ""


def test_a_key_that_cannot_be_sent_is_not_shown(site: Any, browser: Any, support: Any) -> None:
    put(site, support, "brave", {"web": {"results": []}})
    engine = SearchEngine(
        name="brave", url=site.url("/brave", secure=True), key=f"{KEY}\nX-Other: 1"
    )
    result = browser.search("anything", engine)
    assert result.content == "The key for Brave has characters that no key has."
    assert search_engine("brave", "", {"BRAVE_API_KEY": f"{KEY}\n"}).key == KEY


def test_an_engine_that_repeats_its_key_in_an_error_does_not_spread_it(
    site: Any, browser: Any, support: Any
) -> None:
    headers = {"Retry-After": KEY}
    put(site, support, "brave", support.Reply(status=429, headers=headers))
    assert "Search again after [key]." in browser.search("again", configured(site, "brave")).content


def test_an_unknown_engine_is_named_with_the_known_ones() -> None:
    with pytest.raises(ToolDefinitionError, match=r"'altavista'.*duckduckgo, searxng"):
        SearchEngine(name="altavista")
