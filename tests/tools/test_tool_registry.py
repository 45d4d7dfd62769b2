import json
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator

from wardian_tools import (
    MAX_ARGUMENT_CHARS,
    MAX_DEPTH,
    Registry,
    ToolCall,
    ToolDefinitionError,
    builtin_tools,
    tool,
)
from wardian_tools.problems import MAX_PROBLEM_CHARS

REGISTRY = Registry(builtin_tools())


def call(name: str, arguments_text: str) -> ToolCall:
    return ToolCall(id="c1", name=name, arguments_text=arguments_text)


def problem_of(name: str, arguments_text: str, registry: Registry = REGISTRY) -> str:
    parsed = registry.parse(call(name, arguments_text))
    assert parsed.arguments is None
    assert parsed.problem is not None
    assert 0 < len(parsed.problem) <= MAX_PROBLEM_CHARS
    parsed.problem.encode()
    assert parsed.problem.isprintable()
    return parsed.problem


def test_tools_are_sorted_by_name_whatever_the_order_given() -> None:
    names = Registry(reversed(builtin_tools())).names()
    assert names == tuple(sorted(names)) == REGISTRY.names()
    assert [spec["name"] for spec in REGISTRY.specs()] == list(names)


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="Two tools are named 'python'"):
        Registry([*builtin_tools(), REGISTRY.get("python")])  # type: ignore[list-item]


def test_a_right_call_gets_its_arguments_with_defaults() -> None:
    parsed = REGISTRY.parse(call("read_file", '{"path": "a.txt", "start_line": "3"}'))
    assert parsed.problem is None
    assert parsed.arguments == {"path": "a.txt", "start_line": 3, "end_line": None}


@pytest.mark.parametrize("text", ["", "  \n", "{}"])
def test_no_arguments_are_an_empty_object(text: str) -> None:
    assert REGISTRY.parse(call("list_files", text)).arguments == {"path": ".", "pattern": None}


def test_a_call_may_be_parsed_twice() -> None:
    once = REGISTRY.parse(call("python", '{"code": "1"}'))
    assert REGISTRY.parse(once) == once


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("pyhton", "{}", "no tool 'pyhton'. Did you mean python?"),
        ("zzz", "{}", "The tools are: edit_file, list_files"),
        ("", "{}", "no tool ''"),
        ("python", "code", "not valid JSON: Expecting value at character 0, near 'code'"),
        ("python", '{"code": "pri', "not valid JSON: Unterminated string starting at character 9"),
        ("python", '{"code": "a"} {"code": "b"}', "not valid JSON: Extra data at character 14"),
        ("python", '{"code": "a\nb"}', "Invalid control character at character 11"),
        ("python", '["code"]', "must be a JSON object, not an array"),
        ("python", '"code"', "must be a JSON object, not a string"),
        ("python", "null", "must be a JSON object, not null"),
        ("python", "{}", "code is missing. It takes: code."),
        ("python", '{"cod": "1"}', "cod is not an argument (did you mean code?)"),
        ("python", '{"code": 1}', "code should be a valid string, got 1"),
        ("python", '{"code": null}', "got null"),
        ("python", '{"code": {"a": 1}}', "got an object"),
        ("read_file", '{"path": "a", "start_line": 0}', "greater than or equal to 1, got 0"),
        ("read_file", '{"path": "a", "start_line": 1.5}', "start_line should be a valid integer"),
        ("shell", '{"command": "a", "timeout_seconds": 1e9}', "less than or equal to 3600"),
        ("python", '{"code": "a", "code": "b"}', "The key 'code' appears twice"),
        ("python", '{"code": {"x": 1, "x": 2}}', "The key 'x' appears twice"),
        (
            "python",
            json.dumps({"code": "a", **{f"k{n}": 0 for n in range(50_000)}})[:-1] + ', "k0": 1}',
            "The key 'k0' appears twice",
        ),
        ("python", '{"code": NaN}', "NaN is not a JSON number"),
        ("python", '{"code": -Infinity}', "-Infinity is not a JSON number"),
        ("python", '{"code": 1e999}', "The number '1e999' is too large"),
        ("python", '{"code": ' + "9" * 5_000 + "}", "too many digits"),
        ("python", r'{"code": "\ud800"}', "half of a surrogate pair"),
        ("python", '{"code": "\udc80"}', "half of a surrogate pair"),
        ("python", r'{"\uDFFF": 1}', "half of a surrogate pair"),
        ("python", "[" * 10_000, f"deeper than {MAX_DEPTH} levels"),
        ("python", '{"a":' * 10_000 + "1" + "}" * 10_000, f"deeper than {MAX_DEPTH} levels"),
        ("python", '{"code": "' + "a" * 5_000_000 + '"}', f"at most {MAX_ARGUMENT_CHARS} are read"),
        ("python", "\x00\x1b[2J\x7f\u202e", "not valid JSON"),
        ("python", json.dumps({f"k{n}": n for n in range(200)}), "and 196 more"),
        ("p" * 1_000_000, "{}", "There is no tool 'ppp"),
        ("\x1b]0;\x07\ud800", "{}", r"\x1b]0;\x07\ud800"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_a_malformed_call_gets_a_short_and_precise_problem(name: str, text: str, said: str) -> None:
    assert said in problem_of(name, text)


def test_a_pair_of_surrogate_escapes_is_a_character() -> None:
    assert REGISTRY.parse(call("python", r'{"code": "\ud83d\ude00"}')).arguments == {"code": "😀"}


def test_brackets_inside_strings_are_not_nesting() -> None:
    code = '[[{"\\' * 1_000
    assert REGISTRY.parse(call("python", json.dumps({"code": code}))).arguments == {"code": code}


def test_nesting_up_to_the_limit_is_taken() -> None:
    @tool
    def take(value: list[object]) -> None:
        """Take it."""

    registry = Registry([take])
    at_limit = '{"value": ' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}"
    assert registry.parse(call("take", at_limit)).problem is None
    beyond = '{"value": ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}"
    assert "deeper" in problem_of("take", beyond, registry)


def test_the_place_inside_nested_arguments_is_named() -> None:
    @tool
    def take(rows: list[dict[str, int]]) -> None:
        """Take it."""

    said = problem_of("take", '{"rows": [{"a": 1}, {"b": "x"}]}', Registry([take]))
    assert "rows[1].b should be a valid integer" in said
    assert "got 'x'" in said


class Unprintable(ValueError):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("error", [KeyError("k\x1b"), ValueError("v\x1b"), Unprintable()])
def test_a_validator_that_raises_anything_is_a_problem_and_not_an_exception(
    error: Exception,
) -> None:
    def explode(value: int) -> int:
        raise error

    @tool
    def take(value: Annotated[int, AfterValidator(explode)]) -> None:
        """Take it."""

    assert problem_of("take", '{"value": 1}', Registry([take])).endswith("It takes: value.")


def test_a_hundred_thousand_wrong_items_are_counted_and_not_listed() -> None:
    @tool
    def take(rows: list[int]) -> None:
        """Take it."""

    rows = json.dumps({"rows": ["x"] * 100_000})
    assert "and 99995 more" in problem_of("take", rows, Registry([take]))


def test_an_empty_registry_says_that_there_are_no_tools() -> None:
    assert "There are no tools." in problem_of("python", "{}", Registry())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
NAMES = st.sampled_from(REGISTRY.names()) | st.text()
ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too


@given(name=NAMES, text=ANY_TEXT | JSON.map(json.dumps) | JSON.map(lambda v: json.dumps(v)[:-1]))
def test_parsing_never_raises_and_gives_arguments_or_a_bounded_problem(
    name: str, text: str
) -> None:
    parsed = REGISTRY.parse(call(name, text))
    assert (parsed.arguments is None) != (parsed.problem is None)
    if parsed.problem is not None:
        assert len(parsed.problem) <= MAX_PROBLEM_CHARS
        parsed.problem.encode()
    else:
        json.dumps(parsed.arguments, allow_nan=False, ensure_ascii=False).encode()


@given(JSON.map(lambda v: {"path": v, "start_line": v, "end_line": v}))
def test_what_is_accepted_is_accepted_again(value: dict[str, object]) -> None:
    parsed = REGISTRY.parse(call("read_file", json.dumps(value)))
    if parsed.arguments is not None:
        again = REGISTRY.parse(call("read_file", json.dumps(parsed.arguments)))
        assert again.arguments == parsed.arguments
