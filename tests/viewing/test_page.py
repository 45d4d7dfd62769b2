"""The page shows everything a run holds as text, loads nothing, and runs no script but its own."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.viewing.conftest import ATTACK, SECRET_TEXT, png

from wardian import Trajectory
from wardian.events import Rewarded
from wardian.sanitise import is_hidden
from wardian.types import Message, Role
from wardian.viewing.calls import arguments
from wardian.viewing.markup import TEXT_CHARS, Clipper, element
from wardian.viewing.page import afterwards, page
from wardian.viewing.pictures import png_address
from wardian.viewing.steps import steps_of
from wardian_tools import ToolCall

OURS = {
    *("html", "head", "meta", "title", "style", "body", "script", "main", "section", "div", "p"),
    *("h1", "h2", "h3", "dl", "dt", "dd", "pre", "code", "span", "details", "summary", "figure"),
    *("figcaption", "img", "table", "thead", "tbody", "tr", "th", "td", "a", "svg", "rect"),
    *("input", "output"),
}


class Seen(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.inside = ""
        self.raw: dict[str, str] = {}
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        del tag
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.raw[self.inside] = self.raw.get(self.inside, "") + data
        else:
            self.text += data


def test_nothing_that_a_run_holds_becomes_markup(hostile: Trajectory) -> None:
    seen = Seen(page(hostile))
    assert set(seen.tags) <= OURS
    assert (seen.tags.count("script"), seen.tags.count("style"), seen.tags.count("img")) == (
        1,
        1,
        1,
    )
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert seen.text.count("document.title='owned'") > 5


def test_the_page_refers_to_nothing_outside_itself(hostile: Trajectory) -> None:
    seen = Seen(page(hostile))
    addresses = [value or "" for name, value in seen.attributes if name in ("src", "href")]
    assert all(one.startswith(("#step-", "data:image/png;base64,")) for one in addresses)
    assert "url(" not in seen.raw["style"]
    assert "@import" not in seen.raw["style"]


def test_the_only_script_that_may_run_is_the_one_whose_hash_is_named(hostile: Trajectory) -> None:
    seen = Seen(page(hostile))
    digest = base64.b64encode(hashlib.sha256(seen.raw["script"].encode()).digest()).decode()
    [rules] = [
        value for name, value in seen.attributes if name == "content" and "src" in str(value)
    ]
    assert rules is not None
    assert rules.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in rules


def test_hidden_characters_are_written_out_and_the_page_is_utf_8(hostile: Trajectory) -> None:
    content = page(hostile)
    content.encode()
    assert not [one for one in content if is_hidden(one)]
    assert r"\x1b[31mred\x07 \u202eevil\u202c \u200b\ud800" in content


def test_a_long_text_is_cut_with_a_note(hostile: Trajectory) -> None:
    content = page(hostile)
    assert "x" * (TEXT_CHARS + 1) not in content
    assert re.search(r"\[[\d,]+ more characters are in the trajectory\]", content)


def test_a_page_with_many_long_texts_stays_readable_by_a_browser() -> None:
    clipper = Clipper()
    shown = sum(len(clipper.cut("y" * 1_000_000)[0]) for _ in range(1_000))
    assert shown < 10_000_000


def test_an_edit_shows_its_diff_by_line(hostile: Trajectory) -> None:
    content = page(hostile)
    assert '<span class="cut">-one &lt;b&gt;</span>' in content
    assert '<span class="add">+two &lt;script&gt;alert(1)&lt;/script&gt;</span>' in content


def test_each_call_shows_what_was_decided_and_by_which_rule(hostile: Trajectory) -> None:
    text = Seen(page(hostile)).text
    assert text.count("allowed by the rule ") == 2


def test_a_figure_carries_pixels_only() -> None:
    address = png_address(base64.b64encode(png()).decode())
    kept = base64.b64decode(address.partition(",")[2])
    assert b"IDAT" in kept
    assert SECRET_TEXT.encode() not in kept
    assert kept.endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", png()[:60], png().replace(b"IDAT", b"IDAX"), png(100_000, 100_000)],
    ids=["empty", "another-kind", "cut", "damaged", "enormous"],
)
def test_what_is_no_sound_png_is_not_put_into_the_page(content: bytes) -> None:
    assert png_address(base64.b64encode(content).decode()) == ""


def test_what_is_no_base64_is_not_put_into_the_page() -> None:
    assert [png_address(one) for one in ('"><script>', None, 7, "[REDACTED:key]")] == [""] * 4


@given(st.text())
def test_an_element_gives_back_its_text_and_nothing_else(text: str) -> None:
    seen = Seen(element("p", text, title=text))
    assert seen.tags == ["p"]
    assert [name for name, _ in seen.attributes] == ["title"]


def test_the_steps_of_a_run_count_what_it_took(hostile: Trajectory) -> None:
    steps = steps_of(hostile.events)
    assert [(step.number, step.calls, step.status) for step in steps] == [
        (1, 1, "1 malformed"),
        (2, 2, "2 ok"),
        (3, 0, "stop"),
    ]
    assert sum(step.usage.total_tokens for step in steps) == hostile.usage.total_tokens


def test_a_run_whose_beginning_is_lost_has_a_page_all_the_same(hostile: Trajectory) -> None:
    lines = hostile.path.read_bytes().splitlines(keepends=True)
    hostile.path.write_bytes(b"".join([lines[0], *lines[2:]]) + b'{"torn')
    content = page(Trajectory.read(hostile.path.parent))
    assert "The beginning of this run cannot be read." in content
    assert "1 line cannot be read." in content
    assert ATTACK not in content


def test_a_reward_is_shown_with_what_makes_it_suspicious() -> None:
    event = Rewarded(
        step=0, value=0.5, source="tests", version="1", suspicions=("It wrote conftest.py.",)
    )
    assert afterwards(event) == "Rewarded the run with 0.5 (tests). It wrote conftest.py."


def test_the_page_of_a_fork_says_of_what_and_shows_the_calls_it_goes_on_from(
    hostile: Trajectory,
) -> None:
    started = hostile.started
    assert started
    call = ToolCall(id="c", name="look", arguments_text='{"at": "shelf"}')
    fork = replace(
        started,
        fork={"run_id": "01PARENT", "step": 2},
        prefix=(Message(role=Role.ASSISTANT, content="", calls=(call,)),),
    )
    records = (replace(r, event=fork) if r.event is started else r for r in hostile.records)
    text = Seen(page(replace(hostile, records=tuple(records)))).text
    assert text.count("Fork of run 01PARENT, step 2") == 1
    assert text.index("01PARENT") < text.index("Steps")
    assert 'look {"at": "shelf"}' in text


def test_a_default_that_nobody_wrote_is_not_shown_as_an_argument() -> None:
    call = ToolCall(id="c", name="a", arguments={"at": "b", "seconds": None}, arguments_text="")
    shown = arguments(call, Clipper())
    assert "at" in shown
    assert "seconds" not in shown
    wrote = replace(call, arguments_text='{"at": "b", "seconds": null}')
    assert "seconds" in arguments(wrote, Clipper())
