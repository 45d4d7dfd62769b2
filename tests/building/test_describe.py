"""What is read off a tool's source, without running any of it."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardian.building.describe import MAX_SOURCE_CHARS, NotATool, describe
from wardian_tools import Effect, Output, ToolContext
from wardian_tools import tool as real_tool


async def never(context: ToolContext, arguments: dict[str, Any]) -> Output:
    raise AssertionError


def source(parameters: str = "text: str", *, mark: str = "@tool", returns: str = " -> str") -> str:
    docstring = '"""Probe.\n\n    Args:\n        text: It.\n    """'
    return f"{mark}\ndef probe({parameters}){returns}:\n    {docstring}\n"


def test_the_schema_is_that_of_the_same_function_with_the_real_decorator() -> None:
    from typing import Literal

    @real_tool(effects=())
    def probe(
        text: str,
        many: list[dict[str, int]],
        *,
        kind: Literal["a", "b"] = "a",
        ratio: float | None = None,
        yes: bool = False,
    ) -> list[str]:
        """Probe.

        Args:
            text: It.
        """
        raise AssertionError

    written = source(
        'text: str, many: "list[dict[str, int]]", *, kind: Literal["a", "b"] = "a",'
        " ratio: float | None = None, yes: bool = False",
        returns=" -> list[str]",
    )
    made = describe(written).as_tool(never)
    assert made.parameters == probe.parameters
    assert made.description == probe.description
    given = {"text": "x", "many": [{"a": "3"}], "ratio": 1}
    assert made.validate(given) == probe.validate(given)


@pytest.mark.parametrize(
    ("mark", "effects"),
    [
        ("@tool", set()),
        ("@tool()", set()),
        ("@tool(effects=())", set()),
        ("@tool(effects={'reads'})", {Effect.READS}),
        ("@tool(effects=[Effect.WRITES], idempotent=True)", {Effect.READS, Effect.WRITES}),
    ],
)
def test_effects_are_those_written_out(mark: str, effects: set[Effect]) -> None:
    assert describe(source(mark=mark)).as_tool(never).effects == effects


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "exactly one function"),
        ("def probe() -> str:\n    'x'\n", "exactly one function"),
        (source() + source(), "exactly one function"),
        (source().replace("def", "async def"), "exactly one function"),
        ("if True:\n" + source(), "not Python"),
        ("x = (", "not Python"),
        ("x = 1\0", "not Python"),
        (source("text"), "has no type"),
        (source("*texts: str"), "must name every parameter"),
        (source("text: str, /"), "must name every parameter"),
        (source("text: Path"), "the type Path is not known here"),
        (source("text: str = open('x')"), "a literal value is needed"),
        (source("text: int = 'x'"), "Tool 'probe'"),
        (source(returns=""), "has no return type"),
        ("@tool\ndef probe(text: str) -> str:\n    return text\n", "needs a docstring"),
        (source(mark="@tool(effects={'egress'})"), "cannot have the effect 'egress'"),
        (source(mark="@tool(effects={'executes'})"), "cannot have the effect 'executes'"),
        (source(mark="@tool(effects=anything())"), "must be written out"),
        (source(mark="@tool(name='x')"), "nothing else here"),
        (source(mark="@tool(**options)"), "nothing else here"),
        ("#" * (MAX_SOURCE_CHARS + 1), "longer than"),
        ("x = " + "(" * 5000 + ")" * 5000, "not Python"),
    ],
    ids=range(22),
)
def test_a_source_that_is_no_tool_is_refused_with_its_reason(text: str, problem: str) -> None:
    with pytest.raises(NotATool, match=problem.replace("(", r"\(")):
        describe(text).as_tool(never)


def test_nothing_of_the_source_is_run(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    hostile = f"open({str(seen)!r}, 'w')\n{source(mark=f'@tool(effects=open({str(seen)!r}))')}"
    with pytest.raises(NotATool):
        describe(hostile)
    describe(f"open({str(seen)!r}, 'w')\n{source()}").as_tool(never)
    assert not seen.exists()


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
def test_any_text_is_a_tool_or_refused(text: str) -> None:
    for one in (text, source(text), source(mark=f"@tool({text})"), source(returns=f" -> {text}")):
        with suppress(NotATool):
            describe(one).as_tool(never)
