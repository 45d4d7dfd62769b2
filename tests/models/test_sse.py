"""The reader of server-sent events, on bytes split anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.models.sse import EventParser, EventTooLarge

BREAKS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)


def read(stream: bytes, *, cuts: list[int] | None = None, limit_bytes: int = 10_000) -> list[bytes]:
    """The payloads of a stream fed in pieces that end at `cuts`."""
    parser = EventParser(limit_bytes)
    edges = [0, *sorted({c % (len(stream) + 1) for c in cuts or []}), len(stream)]
    payloads = [p for a, b in pairwise(edges) for p in parser.feed(stream[a:b])]
    return payloads + parser.finish()


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\r\n\r\ndata:  b\r\n\r\n", [b"a", b" b"]),
        (b"data: a\rdata: b\r\r", [b"a\nb"]),
        (b": comment\n\nevent: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data\n\n", [b""]),
        (b"datax: a\n\n\n\n", []),
        (b"data: a\n\ndata: [DONE]", [b"a", b"[DONE]"]),
        (b"", []),
    ],
)
def test_the_specification_is_followed(stream: bytes, payloads: list[bytes]) -> None:
    assert read(stream) == payloads


@given(
    events=st.lists(st.lists(LINES, min_size=1, max_size=3), max_size=4),
    ending=BREAKS,
    comment=LINES,
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
)
def test_where_the_bytes_are_split_changes_nothing(
    events: list[list[str]], ending: bytes, comment: str, cuts: list[int]
) -> None:
    stream = b""
    for lines in events:
        stream += b": " + comment.encode() + ending
        stream += b"".join(b"data: " + line.encode() + ending for line in lines) + ending
    assert read(stream, cuts=cuts) == ["\n".join(lines).encode() for lines in events]


@given(stream=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_no_bytes_at_all_break_the_reader(stream: bytes, cuts: list[int]) -> None:
    whole = read(stream)
    assert read(stream, cuts=cuts) == whole


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 99, b"data: 12345678\n" * 9, b":" * 99])
def test_an_endless_event_is_refused(stream: bytes) -> None:
    with pytest.raises(EventTooLarge):
        read(stream, limit_bytes=64, cuts=list(range(0, 200, 5)))
