"""`web_fetch` on pages as servers give them."""

import base64
import gzip
import io
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from wardian_tools import ResultStatus
from wardian_tools.web.inside.getting import Answer, Unreadable
from wardian_tools.web.inside.reading import read

PARAGRAPH = (
    "The red fox is the largest of the true foxes and one of the most widely distributed members "
    "of the order Carnivora, being present across the entire Northern Hemisphere. "
)
ARTICLE = f"""<!DOCTYPE html><html><head><title>Red fox &amp; co</title></head><body>
<nav><a href="/home">Home</a><a href="/login">Log in</a></nav>
<article><h1>Red fox</h1><p>{PARAGRAPH}</p><p>Its range has grown with <b>people's</b>;
see <a href="/wiki/Range">the range</a>.</p>
<table><tr><th>Name</th><th>Mass</th></tr><tr><td>Vulpes</td><td>5 kg</td></tr></table>
<pre><code>fox = 1</code></pre></article>
<script>var hidden = 1</script><footer>Imprint</footer></body></html>"""


def test_a_page_becomes_markdown_without_its_frame(site: Any, browser: Any) -> None:
    result = browser.fetch(site.put("/fox", ARTICLE))
    assert result.status is ResultStatus.OK, result.content
    assert result.content.startswith(f"Red fox & co\n{site.url('/fox')}\n\n# Red fox")
    assert "| Vulpes | 5 kg |" in result.content
    assert f"[the range]({site.url('/wiki/Range')})" in result.content
    assert "hidden" not in result.content
    assert "Log in" not in result.content
    assert (result.integrity, result.confidentiality) == ("untrusted", "public")


def test_a_page_over_tls_is_read_alike(site: Any, browser: Any) -> None:
    site.put("/secure", ARTICLE)
    assert "# Red fox" in browser.fetch(site.url("/secure", secure=True)).content


def test_it_says_who_it_is_and_sends_nothing_of_its_user(site: Any, browser: Any) -> None:
    browser.fetch(site.put("/who", ARTICLE))
    asked = site.asked[-1]
    assert asked.method == "GET"
    assert asked.headers["user-agent"].startswith("Wardian (")
    assert set(asked.headers) <= {"host", "user-agent", "accept", "accept-encoding", "connection"}


def test_a_long_page_is_read_on_without_being_asked_for_again(site: Any, browser: Any) -> None:
    text = "".join(f"line {n}\n" for n in range(1000)).strip()
    url = site.put("/long", text.encode())
    first = browser.fetch(url, max_chars=500)
    assert first.content.endswith(f"[characters 0-500 of {len(text)}; go on with offset=500]")
    count, found, offset = len(site.asked), "", 0
    while offset < len(text):
        part = browser.fetch(url, offset=offset, max_chars=2000)
        body, _, note = part.content.rpartition("\n\n")
        found += body if offset else body.partition("\n\n")[2]
        offset += 2000
        assert note.startswith("[characters ")
    # What separates two parts is kept in one of them.
    assert found.replace("\n", "") == text.replace("\n", "")
    assert len(site.asked) == count
    assert "the text ends at character" in browser.fetch(url, offset=10**6).content


def test_json_and_plain_text_come_as_they_are(site: Any, browser: Any, support: Any) -> None:
    body = json.dumps({"name": "Füchse", "list": [1, 2]}).encode()
    url = site.put("/api", support.Reply(body=body, type="application/json"))
    assert '"name": "Füchse"' in browser.fetch(url).content
    text = b"<b>not HTML</b> *as it is*\n  indented\n"
    url = site.put("/plain", support.Reply(body=text, type="text/plain"))
    assert browser.fetch(url).content.endswith("<b>not HTML</b> *as it is*\n  indented")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("Füße".encode("latin-1"), "text/plain; charset=utf-8"),
        ("Füße".encode(), "text/plain; charset=iso-8859-1"),
        ("Füße".encode("utf-16"), "text/plain"),
        ("Füße €".encode("cp1252"), "text/plain; charset=ISO-8859-1"),
        ("Füße".encode(), "text/plain; charset=no-such-charset"),
        (b"<html><meta charset=iso-8859-15><p>F\xfc\xdfe \xa4</p></html>", "text/html"),
    ],
    ids=["latin-as-utf8", "utf8-as-latin", "utf16-mark", "cp1252", "unknown", "meta"],
)
def test_a_wrong_or_missing_charset_does_not_spoil_the_text(
    site: Any, browser: Any, support: Any, request: pytest.FixtureRequest, body: bytes, kind: str
) -> None:
    path = f"/charset/{request.node.callspec.id}"
    url = site.put(path, support.Reply(body=body, type=kind))
    assert "Füße" in browser.fetch(url).content


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_page_is_unpacked(site: Any, browser: Any, support: Any, coding: str) -> None:
    packed = (gzip if coding == "gzip" else zlib).compress(ARTICLE.encode())
    headers = {"Content-Encoding": coding}
    url = site.put(f"/packed/{coding}", support.Reply(body=packed, headers=headers))
    assert "# Red fox" in browser.fetch(url).content


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(200, 200)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 10 100 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(stream)
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def test_a_pdf_is_read_page_by_page(site: Any, browser: Any, support: Any) -> None:
    document = pdf("First page here", "And the second")
    url = site.put("/paper.pdf", support.Reply(body=document, type="application/octet-stream"))
    content = browser.fetch(url).content
    assert "[page 1 of 2]\nFirst page here\n\n[page 2 of 2]\nAnd the second" in content


def test_an_image_is_told_of_and_kept_for_those_who_see(
    site: Any, browser: Any, support: Any
) -> None:
    image = b"\x89PNG\r\n\x1a\n" + bytes(100)
    url = site.put("/picture.png", support.Reply(body=image, type="image/png"))
    result = browser.fetch(url)
    assert result.content == f"{url}\n\n[image/png, 108 bytes]"
    (figure,) = result.data["figures"]
    assert base64.b64decode(figure["base64"]) == image
    assert (figure["path"], figure["mime"]) == ("picture.png", "image/png")


def test_a_page_that_a_program_would_make_says_so(site: Any, browser: Any) -> None:
    url = site.put("/app", "<html><body><script>render()</script></body></html>")
    assert "no readable text" in browser.fetch(url).content


@pytest.mark.parametrize("body", ["", " \n", "<!-- only this -->", "<html></html>"])
def test_a_page_with_nothing_in_it_is_a_result(site: Any, browser: Any, body: str) -> None:
    result = browser.fetch(site.put(f"/nothing/{len(body)}", body))
    assert result.status is ResultStatus.OK, result.content
    assert ("the page is empty" if not body else "no readable text") in result.content


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "there is no such page"), (403, "does not let"), (429, "too often"), (500, "500")],
)
def test_a_server_that_refuses_is_a_result_with_what_it_says(
    site: Any, browser: Any, support: Any, status: int, said: str
) -> None:
    body = b"<html><body><p>Sorry, not today, says the server.</p></body></html>"
    headers = {"Retry-After": "120"} if status == 429 else {}
    url = site.put(f"/refuses/{status}", support.Reply(body=body, status=status, headers=headers))
    result = browser.fetch(url)
    assert result.status is ResultStatus.ERROR
    assert said in result.content
    assert "Sorry, not today" in result.content
    assert ("after 120 s." in result.content) == (status == 429)
    # A failure is not remembered.
    site.put(f"/refuses/{status}", ARTICLE)
    assert browser.fetch(url).status is ResultStatus.OK


def test_redirects_are_followed_to_the_page(site: Any, browser: Any, support: Any) -> None:
    site.put("/end", ARTICLE)
    moved = {"Location": site.url("/end", "sub.below.example")}
    site.put("/middle", support.Reply(status=301, headers=moved))
    url = site.put("/start", support.Reply(status=302, headers={"Location": "middle?x=1"}))
    site.names["sub.below.example"] = ["127.0.0.1"]
    result = browser.fetch(url)
    assert result.data["url"] == site.url("/end", "sub.below.example")
    assert "# Red fox" in result.content


def test_robots_txt_is_asked_once_and_obeyed(site: Any, browser: Any, support: Any) -> None:
    host = "polite.below.example"
    site.names[host] = ["127.0.0.1"]
    rules = "User-agent: *\nDisallow: /private\nUser-agent: wardian\nDisallow: /mine\n"

    def robots(asked: Any) -> Any:
        is_polite = asked.headers["host"].startswith(host)
        return support.Reply(
            body=rules.encode(), type="text/plain", status=200 if is_polite else 404
        )

    site.put("/robots.txt", robots)
    site.put("/mine/page", ARTICLE)
    site.put("/private/page", ARTICLE)
    refused = browser.fetch(site.url("/mine/page", host))
    assert (refused.status, refused.data["code"]) == (ResultStatus.ERROR, "robots")
    assert "ignore_robots = true" in refused.content
    assert browser.fetch(site.url("/private/page", host)).status is ResultStatus.OK
    asked = [one for one in site.asked if one.headers["host"].startswith(host)]
    assert [one.path for one in asked] == ["/robots.txt", "/private/page"]
    ignoring = site.egress("*.below.example", ignore_robots=True)
    assert browser.fetch(site.url("/mine/page", host), ignoring).status is ResultStatus.OK


def test_a_site_whose_robots_txt_fails_is_left_alone(site: Any, browser: Any, support: Any) -> None:
    host = "broken.below.example"
    site.names[host] = ["127.0.0.1"]
    site.put(
        "/robots.txt",
        lambda asked: support.Reply(status=503 if host in asked.headers["host"] else 404),
    )
    site.put("/anything", ARTICLE)
    result = browser.fetch(site.url("/anything", host))
    assert "robots.txt cannot be had: its server answered 503" in result.content


def test_without_the_extra_a_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("trafilatura", "pypdf"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    for kind, body in (("text/html", b"<p>x</p>"), ("application/pdf", b"%PDF-1.7")):
        answer = Answer(status=200, headers={"content-type": kind}, body=body, is_whole=True)
        with pytest.raises(Unreadable, match=r"pip install 'wardian\[web\]'"):
            read(answer, "https://example.org/")
    plain = Answer(status=200, headers={"content-type": "text/plain"}, body=b"x", is_whole=True)
    assert read(plain, "https://example.org/").text == "x"


def test_without_a_sandbox_the_policy_s_hosts_hold_all_the_same(
    site: Any, support: Any, tmp_path: Path
) -> None:
    plain = support.Browser(tmp_path, site, site.egress("good.example"), backend="none")
    try:
        assert "# Red fox" in plain.fetch(site.put("/unconfined", ARTICLE)).content
        moved = {"Location": "http://169.254.169.254/"}
        url = site.put("/unconfined/away", support.Reply(status=302, headers=moved))
        assert plain.fetch(url).status is ResultStatus.DENIED
    finally:
        plain.close()
