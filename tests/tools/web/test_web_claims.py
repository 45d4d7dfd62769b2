"""A reader that was taken over: whatever it answers is a result, of bounded size and plain text."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from wardian_sandbox import Egress, EgressEvent, EgressOutcome
from wardian_sandbox.types import JobResult
from wardian_tools import Confidentiality, Integrity, Output, ResultStatus, SearchEngine
from wardian_tools.web.address import parse_url
from wardian_tools.web.fetching import MAX_CHARS, _shown, _understood
from wardian_tools.web.memory import Memory
from wardian_tools.web.searching import Search

KEYS = [
    "url",
    "status",
    "text",
    "title",
    "mime",
    "image",
    "is_whole",
    "is_loaded",
    "size_bytes",
    "robots",
]
KEYS += ["code", "problem", "retry_after", "cf_mitigated", "results", "snippet", "date", "engine"]
ADDRESS = parse_url("https://good.example/page")
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=12,
)


@settings(max_examples=75)
@given(VALUES)
def test_any_answer_about_a_page_is_a_result(value: Any) -> None:
    found = _understood(JobResult(value=value), ADDRESS, Memory(), 20.0, Egress())
    output = found if isinstance(found, Output) else _shown(found, 0, MAX_CHARS)
    checked(output)


@settings(max_examples=75)
@given(VALUES)
def test_any_answer_about_a_search_is_a_result(value: Any) -> None:
    search = Search(SearchEngine(name="brave", key="k"))
    checked(search._understood(JobResult(value=value), ADDRESS, "query", 5, 20.0))


def checked(output: Output) -> None:
    output.content.encode()
    assert (output.integrity, output.confidentiality) == (
        Integrity.UNTRUSTED,
        Confidentiality.PUBLIC,
    )
    assert not set(output.content) & {"\x1b", "\u202e", "\x00", "\u200b"}


def test_what_the_proxy_refused_is_believed_and_not_what_the_reader_says_of_it() -> None:
    denied = EgressEvent(
        connection=1,
        outcome=EgressOutcome.DENIED,
        host="inside.example",
        port=443,
        code="address",
        reason="inside.example leads to 10.0.0.1, a private address, which is not on the list.",
    )
    claims = {"url": "https://inside.example/", "status": 200, "text": "All is well."}
    found = _understood(
        JobResult(value=claims, refused=(denied,)), ADDRESS, Memory(), 20.0, Egress()
    )
    assert isinstance(found, Output)
    assert found.status is ResultStatus.DENIED
    assert "All is well" not in found.content


def test_a_long_answer_is_shown_in_part() -> None:
    claims = {"url": str(ADDRESS), "status": 200, "text": "a" * 3_000_000, "title": "t" * 10_000}
    found = _understood(JobResult(value=claims), ADDRESS, Memory(), 20.0, Egress())
    assert not isinstance(found, Output)
    assert len(_shown(found, 0, MAX_CHARS).content) < MAX_CHARS + 1000
    search = Search(SearchEngine())
    many = {
        "results": [{"title": "t" * 9000, "url": "https://x.example/", "snippet": "s" * 9000}] * 500
    }
    result = search._understood(JobResult(value=many), ADDRESS, "q", 20, 20.0)
    assert len(result.data["results"]) == 20
    assert len(result.content) < 20_000
