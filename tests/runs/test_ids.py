"""Run ids sort by time and do not repeat."""

import re

from wardian.runs import new_run_id


def test_an_id_is_26_characters_of_crockfords_alphabet() -> None:
    assert re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", new_run_id())


def test_ids_made_in_one_millisecond_differ() -> None:
    assert len({new_run_id() for _ in range(10_000)}) == 10_000


def test_a_later_id_never_begins_before_an_earlier_one() -> None:
    made = [new_run_id()[:10] for _ in range(1_000)]
    assert made == sorted(made)
