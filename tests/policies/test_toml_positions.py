"""Where the keys of a TOML text stand."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from wardian_policies.positions import line_numbers

TEXT = '''# a comment with = and [brackets]
extends = "default"  # another

[tools]
allow = [
    "a # not a comment",   # a comment, with a comma
    'b "quoted"',
    """c
over lines""", "d",
]
[ paths . "deep.er" ]
x.y = {a = [1, {b = "}"}], c = '[' }
[[server]]
name = "one"
[[server]]
name = """
two"""
[server.limits]
last = 1979-05-27 07:32:00
'''


def test_every_key_and_element_has_its_line() -> None:
    tomllib.loads(TEXT)
    lines = line_numbers(TEXT)
    assert lines["extends",] == 2
    assert lines["tools",] == 4
    assert [lines["tools", "allow", n] for n in range(4)] == [6, 7, 8, 9]
    assert lines["paths", "deep.er", "x", "y"] == 12
    assert lines["server", 0, "name"] == 14
    assert lines["server", 1, "name"] == 16
    assert lines["server", 1, "limits", "last"] == 19


@given(st.dictionaries(st.from_regex(r"[a-z]{1,4}", fullmatch=True), st.text(), max_size=5))
def test_any_written_string_is_scanned_over(values: dict[str, str]) -> None:
    import tomlkit

    text = tomlkit.dumps(values)
    assert set(tomllib.loads(text)) == {key[0] for key in line_numbers(text)}


def test_windows_line_ends_count_once() -> None:
    text = "a = 1\r\nb = [\r\n  2,\r\n]\r\n"
    tomllib.loads(text)
    assert line_numbers(text) == {("a",): 1, ("b",): 2, ("b", 0): 3}
