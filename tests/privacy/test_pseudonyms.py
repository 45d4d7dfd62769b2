"""Pseudonyms: the same value the same one, undone exactly or not at all."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian_policies.redaction.pseudonyms import (
    FILE_NAME,
    ForgedPseudonym,
    Pseudonyms,
    PseudonymStream,
)
from wardian_policies.redaction.redactor import Detectors, Redactor

PERSONAL = Detectors(personal=True)
MAIL = "jane@example.org"


def test_the_same_value_has_the_same_pseudonym_and_no_two_share_one() -> None:
    redactor = Redactor({}, PERSONAL)
    after = redactor.text(f"{MAIL} {MAIL} john@example.org Jane@example.org")
    first, again, other, cased = after.split()
    assert first == again
    assert len({first, other, cased}) == 3
    assert redactor.pseudonyms.restored(after) == f"{MAIL} {MAIL} john@example.org Jane@example.org"


def test_a_known_value_is_replaced_where_no_detector_would_see_it() -> None:
    redactor = Redactor({}, PERSONAL)
    pseudonym = redactor.text("+1 (415) 555-2671")
    assert redactor.text("x +1 (415) 555-2671- y") == f"x {pseudonym}- y"


@pytest.mark.parametrize(
    "forge",
    [
        lambda p: p.replace("_1:", "_2:"),
        lambda p: p[:-3] + "]]",
        lambda p: p[:-1],
        lambda p: p[1:],
        lambda p: p[2:-2],
        lambda p: p.lower(),
        lambda p: p.replace(":", " : "),
        lambda p: p.replace("EMAIL", "PHONE"),
        lambda p: f"{p} [[EMAIL_7:0123456789]]",
        lambda p: p[-12:-2],
        lambda p: p[: len(p) // 2],
    ],
)
def test_a_forged_altered_or_partial_pseudonym_is_refused(forge: object) -> None:
    redactor = Redactor({}, PERSONAL)
    pseudonym = redactor.text(MAIL)
    assert callable(forge)
    with pytest.raises(ForgedPseudonym):
        redactor.pseudonyms.restored(f"send it to {forge(pseudonym)} now")


@settings(max_examples=60)
@given(st.text(max_size=80))
def test_text_without_pseudonyms_is_restored_to_itself(text: str) -> None:
    redactor = Redactor({}, PERSONAL)
    redactor.text(MAIL)
    assert redactor.pseudonyms.restored(f"IP_1 email_2 {text}") == f"IP_1 email_2 {text}"


def test_another_session_cannot_undo_them() -> None:
    one, other = Redactor({}, PERSONAL), Redactor({}, PERSONAL)
    assert one.text(MAIL) != other.text(MAIL)
    with pytest.raises(ForgedPseudonym):
        other.pseudonyms.restored(one.text(MAIL))


def test_they_are_kept_for_their_owner_alone_and_read_again(tmp_path: Path) -> None:
    redactor = Redactor({}, PERSONAL)
    pseudonym = redactor.text(MAIL)
    redactor.pseudonyms.save(tmp_path)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / FILE_NAME).read_text())["values"] == {pseudonym: MAIL}
    again = Redactor({}, PERSONAL, Pseudonyms.load(tmp_path))
    assert again.text(f"{MAIL} and ann@example.org").startswith(pseudonym)
    assert "EMAIL_2" in again.text("ann@example.org")


@settings(max_examples=80)
@given(data=st.data())
def test_the_screen_shows_values_however_the_stream_is_cut(data: st.DataObject) -> None:
    redactor = Redactor({}, PERSONAL)
    pseudonym = redactor.text(MAIL)
    text = f"a[0] [[ {pseudonym}{pseudonym} [x] [[EMAIL_9:no]] {pseudonym[:9]}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    stream = PseudonymStream(redactor.pseudonyms)
    shown = "".join([*map(stream.feed, pieces), stream.finish()])
    assert shown == f"a[0] [[ {MAIL}{MAIL} [x] [[EMAIL_9:no]] {pseudonym[:9]}"
