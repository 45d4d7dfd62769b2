"""Words are found by the same rules with and without SQLite's full-text index."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardian.runs.words import Words, around, folded

ALPHABET = 'ab Éeß1_.,"*-\n'


def by_index(text: str, words: Words) -> bool:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(
            "CREATE VIRTUAL TABLE t USING fts5(text, tokenize='unicode61 remove_diacritics 2')"
        )
        database.execute("INSERT INTO t VALUES (?)", (text,))
        found = database.execute("SELECT 1 FROM t WHERE t MATCH ?", (words.match,)).fetchone()
    return found is not None


@settings(max_examples=150)
@given(st.text(ALPHABET, max_size=20), st.text(ALPHABET, max_size=8))
def test_a_text_is_found_with_the_index_exactly_where_it_is_without(text: str, query: str) -> None:
    words = Words.of(query)
    assert words is None or by_index(text, words) == bool(words.place(text))


@settings(max_examples=150)
@given(st.text(max_size=30))
def test_nothing_a_person_types_is_an_error_of_syntax(query: str) -> None:
    if words := Words.of(query):
        by_index("a text", words)


@pytest.mark.parametrize("query", ["", "  ", "->", '"', "*", "日本語", "ภาษาไทย"])
def test_where_words_do_not_help_there_are_none(query: str) -> None:
    assert Words.of(query) is None


@pytest.mark.parametrize(
    ("query", "text", "place"),
    [
        ("a.txt", "read A.TXT now", "A.TXT"),
        ("write_file", "call write_file()", "write_file"),
        ('"two words"', "words two, two\nwords", "two\nwords"),
        ("begin*", "the beginning", "begin"),
        ("naive", "so naïve", "naïve"),
        ("far near", "far " + "x " * 200 + "near and far", "near and far"),
    ],
)
def test_the_place_is_where_the_words_stand_together(query: str, text: str, place: str) -> None:
    words = Words.of(query)
    assert words
    found = words.place(text)
    assert found
    assert text[slice(*found)] == place


def test_a_text_that_lacks_one_of_the_words_is_not_found() -> None:
    words = Words.of("one two")
    assert words
    assert words.place("one and only") is None
    assert words.place("one twofold") is None


@given(st.text(max_size=40))
@settings(max_examples=100)
def test_folding_keeps_every_character_in_its_place(text: str) -> None:
    assert len(folded(text)) == len(text)


def test_an_excerpt_has_what_is_around_the_place_and_no_more() -> None:
    excerpt = around("x" * 500 + "place" + "y" * 500, 500, 505)
    assert "place" in excerpt
    assert len(excerpt) < 120
