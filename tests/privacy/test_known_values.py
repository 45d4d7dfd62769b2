"""No registered value survives, whatever it stands in, however it is encoded, however it is cut."""

import base64
import json
import string
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian_policies.redaction.stream import StreamFilter, cut_out
from wardian_policies.redaction.values import HeldBack, KnownValues

TOKEN = "sk-test/4f9A+b2Q==~x"
SPOKEN = 'p@ss "wörd" & co\\1'
values = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]),
    min_size=8,
    max_size=40,
) | st.text(string.ascii_letters + string.digits + "-_/+=", min_size=8, max_size=60)
texts = st.text(st.characters(codec="utf-8"), max_size=40)


def all_percent(value: str) -> str:
    return "".join(f"%{byte:02x}" for byte in value.encode())


def all_escaped(value: str) -> str:
    units = value.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02X}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def wrapped(text: str, columns: int = 19) -> str:
    return "\n".join(text[i : i + columns] for i in range(0, len(text), columns))


Encoding = Callable[[str], str]
ENCODINGS: dict[str, Encoding] = {
    "raw": lambda v: v,
    "json": lambda v: json.dumps(v)[1:-1],
    "json unicode": lambda v: json.dumps(v, ensure_ascii=False)[1:-1],
    "json in json": lambda v: json.dumps(json.dumps(v))[3:-3],
    "json all escaped": all_escaped,
    "json slashes": lambda v: json.dumps(v)[1:-1].replace("/", "\\/"),
    "url": lambda v: quote(v, safe=""),
    "url lower": lambda v: (
        quote(v, safe="").lower() if v.isascii() and v == v.lower() else quote(v)
    ),
    "url plus": quote_plus,
    "url twice": lambda v: quote(quote(v, safe=""), safe=""),
    "url all": all_percent,
    "url in json": lambda v: json.dumps(quote(v, safe="/"))[1:-1],
    "json in url": lambda v: quote(json.dumps(v)[1:-1], safe=""),
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64 after 1": lambda v: base64.b64encode(b"x" + v.encode() + b"yz").decode(),
    "base64 after 2": lambda v: base64.b64encode(b"xy" + v.encode() + b"z").decode(),
    "base64 url": lambda v: base64.urlsafe_b64encode(b"x" + v.encode()).decode(),
    "base64 wrapped": lambda v: wrapped(base64.b64encode(b"--" + v.encode() + b"--").decode()),
    "base64 in json": lambda v: base64.b64encode(json.dumps({"a": v}).encode()).decode(),
    "base64 in url": lambda v: quote(base64.b64encode(v.encode()).decode(), safe=""),
    "hex": lambda v: v.encode().hex(),
    "hex upper": lambda v: v.encode().hex().upper(),
    "hex wrapped": lambda v: wrapped(v.encode().hex()),
    "hex spaced": lambda v: v.encode().hex(" "),
}


encodings = st.sampled_from(list(ENCODINGS.values()))


def hidden(known: KnownValues, text: str) -> str:
    return cut_out(text, known.find(text), lambda name: f"[{name}]")


def streamed(known: KnownValues, pieces: list[str]) -> str:
    stream = StreamFilter(known, HeldBack(known), lambda name: f"[{name}]")
    return "".join([*map(stream.feed, pieces), stream.finish()])


@settings(max_examples=150)
@given(encoding=encodings, value=values, before=texts, after=texts)
def test_no_value_survives_an_encoding(
    encoding: Encoding, value: str, before: str, after: str
) -> None:
    value = value.strip()
    known = KnownValues({"S": value if len(value) >= 8 else value + TOKEN})
    (value,) = known.plain
    coded = encoding(value)
    text = f"{before}-{coded}-{after}"
    after_all = hidden(known, text)
    assert "[S]" in after_all
    if coded not in f"{before}-[S]-{after}":
        assert coded not in after_all


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_no_value_survives_in_single_characters(encoding: Encoding) -> None:
    for value in (TOKEN, SPOKEN, "häß😀lich-2026", "aaaaaaaab"):
        known = KnownValues({"S": value})
        text = f"see {encoding(value)} and {encoding(value)}\\\\ %4"
        assert encoding(value) not in hidden(known, text)
        assert encoding(value) not in (shown := streamed(known, list(text)))
        assert shown.count("[S]") == 2


@settings(max_examples=60)
@given(
    encoding=encodings,
    data=st.data(),
    value=st.sampled_from([TOKEN, SPOKEN, "häß😀lich-2026", "aaaaaaaab"]),
)
def test_no_value_survives_the_cuts_of_a_stream(
    encoding: Encoding, data: st.DataObject, value: str
) -> None:
    known = KnownValues({"S": value, "T": value + "-and-more", "U": "unrelated 1"})
    text = f"see {encoding(value)} and {encoding(value)}\\\\ {encoding(value + '-and-more')}; %4"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=30)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert encoding(value) not in streamed(known, pieces)
    assert streamed(known, pieces).count("[S]") >= 2
    assert encoding(value) not in hidden(known, text)


@settings(max_examples=60)
@given(pieces=st.lists(texts, max_size=8))
def test_text_without_a_value_passes_unchanged(pieces: list[str]) -> None:
    known = KnownValues({"S": TOKEN, "T": SPOKEN})
    text = "".join(pieces)
    assert hidden(known, text) == text
    assert streamed(known, pieces) == text


def test_a_stream_waits_only_where_a_value_may_begin() -> None:
    known = KnownValues({"S": TOKEN})
    stream = StreamFilter(known, HeldBack(known), str)
    assert stream.feed("An answer, and more.") == "An answer, and more."
    assert stream.feed(" the key is " + TOKEN[:9]) == " the key is"
    assert stream.feed("no, it is not") == " " + TOKEN[:9] + "no, it is not"


def test_a_key_of_several_lines_is_found_line_by_line() -> None:
    line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
    known = KnownValues(
        {"K": f"-----BEGIN PRIVATE KEY-----\n{line}\nAbC=\n-----END PRIVATE KEY-----\n"}
    )
    assert hidden(known, f"first line: {line}") == "first line: [K]"
    assert "BEGIN" in hidden(known, "-----BEGIN PRIVATE KEY-----")


def test_a_value_too_short_to_be_told_from_text_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 8"):
        KnownValues({"S": "1234567"})


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))
def test_a_value_is_found_in_a_long_text_too(encoding: Encoding) -> None:
    """Which one pass looks over first."""
    known = KnownValues({"S": SPOKEN, "T": TOKEN})
    text = f"{'some words, ' * 500} {encoding(SPOKEN)} {'and more ' * 500}"
    assert encoding(SPOKEN) not in hidden(known, text)
    assert "[S]" in hidden(known, text)
