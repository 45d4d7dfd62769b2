"""Globs over paths and text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian_policies.globs import (
    ANY,
    ONE_COMMAND,
    intersect,
    may_hold,
    normalise,
    path_regex,
    text_regex,
)

SEGMENT_GLOBS = st.sampled_from(["a", "b", "ab", "*", "a*", "*b", "?", "**"])
GLOBS = st.lists(SEGMENT_GLOBS, min_size=1, max_size=4).map("/".join)
PATHS = st.lists(st.sampled_from(["a", "b", "ab", "aab", "c"]), max_size=5).map("/".join)


def names(glob: str, path: str) -> bool:
    return re.fullmatch(path_regex(glob), path) is not None


def reference(glob: list[str], path: list[str]) -> bool:
    """The meaning of a path glob, spelled out by trying everything."""
    if not glob:
        return not path
    if glob[0] == "**":
        return any(reference(glob[1:], path[n:]) for n in range(len(path) + 1))
    star = re.escape(glob[0]).replace(r"\*", ".*").replace(r"\?", ".")
    return bool(path) and bool(re.fullmatch(star, path[0])) and reference(glob[1:], path[1:])


@given(GLOBS, PATHS)
def test_a_path_glob_matches_what_its_meaning_says(glob: str, path: str) -> None:
    parts = path.split("/") if path else []
    assert names(glob, path) == reference(glob.split("/"), parts)


@given(st.lists(GLOBS, max_size=3), st.lists(GLOBS, max_size=3), PATHS)
def test_an_intersection_never_names_a_path_that_one_side_does_not(
    some: list[str], others: list[str], path: str
) -> None:
    both = any(names(glob, path) for glob in some) and any(names(glob, path) for glob in others)
    assert not any(names(glob, path) for glob in intersect(some, others)) or both


@given(st.data(), PATHS)
def test_an_intersection_is_exact_where_no_segment_mixes_wildcards(
    data: st.DataObject, path: str
) -> None:
    plain = st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=4).map("/".join)
    one, other = data.draw(plain), data.draw(plain)
    found = any(names(glob, path) for glob in intersect([one], [other]))
    assert found == (names(one, path) and names(other, path))


@given(GLOBS, PATHS, PATHS)
def test_a_folder_may_hold_every_match_below_it(glob: str, folder: str, rest: str) -> None:
    path = f"{folder}/{rest}".strip("/") if rest else folder
    if rest and names(glob, path):
        assert may_hold(glob, folder)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("./a/../b", "b"),
        ("a//b/", "a/b"),
        (".", ""),
        ("/workspace/a", "a"),
        ("/workspace", ""),
        ("/workspace2/a", None),
        ("/etc/passwd", None),
        ("../x", None),
        ("a/../../x", None),
        ("/workspace/../etc", None),
        ("a\0b", None),
        ("x" * 5000, None),
    ],
)
def test_a_path_is_normalised_or_outside(written: str, path: str | None) -> None:
    assert normalise(written) == path


def test_a_double_star_at_the_end_names_the_folder_itself() -> None:
    assert names(".git/hooks/**", ".git/hooks")
    assert names(".git/hooks/**", ".git/hooks/a/b")
    assert not names(".git/hooks/**", ".git/hooksx")


def test_a_backslash_takes_the_next_character_literally() -> None:
    assert re.fullmatch(text_regex(r"rm \*"), "rm *")
    assert not re.fullmatch(text_regex(r"rm \*"), "rm x")


@pytest.mark.parametrize(
    "command", ["git status; rm x", "git status && rm x", "git status\nrm x", "git status $(rm x)"]
)
def test_a_star_for_one_command_stands_for_no_second_one(command: str) -> None:
    assert re.fullmatch(text_regex("git status*", ANY), command)
    assert not re.fullmatch(text_regex("git status*", ONE_COMMAND), command)
    assert re.fullmatch(text_regex("git status*", ONE_COMMAND), "git status --short docs")


def test_many_stars_on_a_hostile_text_are_matched_in_time() -> None:
    # With plain backtracking this would take longer than the universe is old.
    assert not re.fullmatch(text_regex("*a" * 12 + "b"), "a" * 20_000)
    assert not re.fullmatch(path_regex("**/a/**/a/**/b"), "/".join("a" * 2000))
    assert not re.fullmatch(path_regex("*a*a*a*a*a*b"), "a" * 4000)
