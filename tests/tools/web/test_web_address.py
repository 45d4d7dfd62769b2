"""URLs as models write them."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian_tools.web.address import MAX_URL_CHARS, BadAddress, parse_url
from wardian_tools.web.inside.charset import decoded
from wardian_tools.web.visible import INVISIBLE, one_line, visible_text


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("https://Example.ORG", "https://example.org/"),
        ("https://example.org.:443/a?b=c#part", "https://example.org/a?b=c"),
        ("http://example.org:80/", "http://example.org/"),
        ("http://example.org:443/", "http://example.org:443/"),
        (
            "https://münchen.example/straße?q=ä",
            "https://xn--mnchen-3ya.example/stra%C3%9Fe?q=%C3%A4",
        ),
        ("https://example.org/a%20b", "https://example.org/a%20b"),
        ("  https://example.org/x  ", "https://example.org/x"),
        ("http://[2001:DB8::1]:8080/x", "http://[2001:db8::1]:8080/x"),
        ("http://192.0.2.7/", "http://192.0.2.7/"),
        ("HTTPS://example.org?x", "https://example.org/?x"),
    ],
)
def test_a_url_has_one_spelling(written: str, asked: str) -> None:
    assert str(parse_url(written)) == asked


@pytest.mark.parametrize(
    "written",
    [
        "",
        "example.org/page",
        "ftp://example.org/",
        "javascript:alert(1)",
        "https://",
        "https://user:word@example.org/",
        "https://example.org\\@evil.example/",
        "https://exa mple.org/",
        "https://example.org/\r\nHost: evil.example",
        "https://example.org:0/",
        "https://example.org:x/",
        "https://[::1%25eth0]/",
        "https://[::1]x/",
        "https://0x7f000001/",
        "https://1.2.3/",
        "https://a..b/",
        "https://%6c%6f/",
        "https://" + "a" * MAX_URL_CHARS,
    ],
)
def test_what_is_no_plain_web_address_is_refused_with_what_to_write(written: str) -> None:
    with pytest.raises(BadAddress, match=r"\. \w.*\.$"):
        parse_url(written)


def test_the_rule_is_what_the_policy_lists() -> None:
    assert parse_url("https://example.org/x").rule == "example.org"
    assert parse_url("http://example.org:8080/x").rule == "example.org:8080"
    assert parse_url("http://[2001:db8::1]:8080/").rule == "[2001:db8::1]:8080"


@settings(max_examples=200)
@given(st.text(max_size=60).map("https://example.org/".__add__) | st.text(max_size=60))
def test_a_url_that_is_understood_is_understood_alike_again(text: str) -> None:
    try:
        address = parse_url(text)
    except BadAddress:
        return
    assert parse_url(str(address)) == address
    assert str(address).isascii()


@settings(max_examples=100)
@given(st.binary(max_size=200), st.text(max_size=30))
def test_any_bytes_are_some_text(body: bytes, kind: str) -> None:
    text, name = decoded(body, kind)
    assert isinstance(text, str)
    assert name


@settings(max_examples=100)
@given(
    st.text(
        alphabet=st.sampled_from("aä \n\x1b\u202e\u200d\u200b\U000e0041\ud800\x85"), max_size=40
    )
)
def test_visible_text_can_be_stored_and_shown(text: str) -> None:
    shown = visible_text(text)
    shown.encode()
    assert not re.search(INVISIBLE, shown)
    assert visible_text(shown) == shown
    assert "\n" not in one_line(text, 10)
    assert len(one_line(text, 10)) <= 10


JOINED = "\u0645\u06cc\u200c\u062e\u0648\u0627 \U0001f469\u200d\U0001f4bb"


def test_joined_letters_stay_joined() -> None:
    """Persian and emoji need the joiners that others hide text with."""
    assert visible_text(JOINED) == JOINED
