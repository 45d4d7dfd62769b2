"""`web_search` by ddgs, at a server whose page has the structure of DuckDuckGo's."""

from typing import Any

import pytest

from wardian_tools import ResultStatus, SearchEngine

ITEM = """
<div class="result results_links results_links_deep web-result ">
  <div class="links_main links_deep result__body">
    <h2 class="result__title"><a rel="nofollow" class="result__a" href="{url}">{title}</a></h2>
    <div class="result__extras"><div class="result__extras__url">
      <a class="result__url" href="{url}"> {url} </a></div></div>
    <a class="result__snippet" href="{url}">{snippet}</a>
    <div class="clear"></div>
  </div>
</div>"""
PAGE = """<!DOCTYPE html><html><head><title>{query} at DuckDuckGo</title></head>
<body class="body--html"><div id="links" class="results">{items}</div></body></html>"""


def page(*items: tuple[str, str, str]) -> str:
    rows = [ITEM.format(title=title, url=url, snippet=snippet) for title, url, snippet in items]
    return PAGE.format(query="q", items="".join(rows))


@pytest.fixture
def engine(site: Any) -> SearchEngine:
    return SearchEngine(name="duckduckgo", url=site.url("/html/", secure=True))


def test_it_finds_titles_addresses_and_snippets(
    site: Any, browser: Any, engine: SearchEngine
) -> None:
    found = ("Foxes", "https://foxes.example/a?b=1", "All about foxes.")
    site.put("/html/", page(found, ("Bears", "https://bears.example/", "And bears.")))
    result = browser.search("foxes and bears", engine)
    assert result.status is ResultStatus.OK, result.content
    assert result.content.startswith("1. Foxes\n   https://foxes.example/a?b=1\n   ")
    assert [one["title"] for one in result.data["results"]] == ["Foxes", "Bears"]
    assert result.data["results"][0]["engine"] == "duckduckgo"
    assert (result.integrity, result.confidentiality) == ("untrusted", "public")
    asked = site.asked[-1]
    assert (asked.method, asked.path) == ("POST", "/html/")
    assert b"q=foxes" in asked.body


def test_text_of_the_page_reaches_the_model_without_what_nobody_sees(
    site: Any, browser: Any, engine: SearchEngine
) -> None:
    title = "a\x1b[31mb\u202ec\u200bd [/x]"
    site.put("/html/", page((title, "https://x.example/", "snippet\u2066 \U000e0041end")))
    (found,) = browser.search("hostile", engine).data["results"]
    assert found["title"] == "a[31mbcd [/x]"
    assert found["snippet"] == "snippet end"


def test_results_whose_address_cannot_be_fetched_are_left_out(
    site: Any, browser: Any, engine: SearchEngine
) -> None:
    bad = ("Bad", "javascript:alert(1)", "x")
    site.put("/html/", page(bad, ("Good", "https://good.example/", "y")))
    assert [one["title"] for one in browser.search("mixed", engine).data["results"]] == ["Good"]


def test_no_more_results_come_than_were_asked_for(
    site: Any, browser: Any, engine: SearchEngine
) -> None:
    site.put("/html/", page(*[(f"t{n}", f"https://x.example/{n}", "s") for n in range(9)]))
    assert len(browser.search("many", engine, max_results=3).data["results"]) == 3


def test_the_same_search_is_asked_once_a_run(site: Any, browser: Any, engine: SearchEngine) -> None:
    site.put("/html/", page(("Once", "https://x.example/", "s")))
    first = browser.search("once only", engine)
    count = len(site.asked)
    assert browser.search("  once   only ", engine).content == first.content
    assert len(site.asked) == count


CAPTCHA = (
    "<html><body><form id='challenge-form'><div class='anomaly-modal'>bots</div></form></body>"
)


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (202, "<html><body>wait</body></html>", "rate_limited", "asked too often (202)"),
        (429, "slow down", "rate_limited", "asked too often (429)"),
        (202, CAPTCHA, "captcha", "proof that a person searches"),
        (200, CAPTCHA, "captcha", "proof that a person searches"),
        (503, "down", "failed", "answered 503"),
        (200, "<html><body><p>All new design</p></body></html>", "changed", "not as ddgs knows it"),
        (200, "", "changed", "not as ddgs knows it"),
    ],
    ids=["202", "429", "captcha-202", "captcha-200", "503", "changed", "empty"],
)
def test_a_search_that_gives_no_results_says_why(
    site: Any,
    browser: Any,
    engine: SearchEngine,
    support: Any,
    status: int,
    body: str,
    code: str,
    said: str,
) -> None:
    site.put("/html/", support.Reply(body=body.encode(), status=status))
    result = browser.search("anything", engine)
    assert (result.status, result.data["code"]) == (ResultStatus.ERROR, code)
    assert said in result.content
    # And it is asked again, not remembered.
    site.put("/html/", page(("Now", "https://x.example/", "s")))
    assert browser.search(f"anything {status} {code}", engine).status is ResultStatus.OK


def test_that_there_is_nothing_is_a_result_and_not_a_failure(
    site: Any, browser: Any, engine: SearchEngine
) -> None:
    site.put("/html/", '<html><body><div class="no-results">No results.</div></body></html>')
    result = browser.search("qwxyz", engine)
    assert result.status is ResultStatus.OK
    assert result.content == "DuckDuckGo finds nothing for: qwxyz"


def test_an_engine_that_cannot_be_reached_is_a_result(site: Any, browser: Any) -> None:
    gone = SearchEngine(url=f"https://gone.below.example:{site.tls}/html/")
    result = browser.search("anything", gone)
    assert result.status is ResultStatus.ERROR
    assert "There is no host gone.below.example" in result.content


def test_an_engine_that_is_not_listed_is_refused_with_the_line_to_add(
    browser: Any, site: Any
) -> None:
    result = browser.search("anything", SearchEngine())
    assert result.status is ResultStatus.DENIED
    assert 'under [network], hosts = ["html.duckduckgo.com"]' in result.content
    assert result.data["add"] == 'hosts = ["html.duckduckgo.com"]'


def test_ddgs_reaches_the_engine_and_nothing_else_that_the_policy_lists(
    site: Any, browser: Any, engine: SearchEngine, support: Any
) -> None:
    """It follows redirects by itself; its way out ends at the engine's host."""
    elsewhere = site.url("/elsewhere", "sub.below.example", secure=True)
    site.names["sub.below.example"] = ["127.0.0.1"]
    site.put("/elsewhere", page(("Elsewhere", "https://x.example/", "s")))
    site.put("/html/", support.Reply(status=302, headers={"Location": elsewhere}))
    assert browser.fetch(elsewhere).status is ResultStatus.OK
    count = sum(one.path == "/elsewhere" for one in site.asked)
    assert browser.search("redirected", engine).status is ResultStatus.ERROR
    assert sum(one.path == "/elsewhere" for one in site.asked) == count
