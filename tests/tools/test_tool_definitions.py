import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from wardian_tools import Effect, Tool, ToolContext, ToolDefinitionError, tool


def add(a: int, b: int = 2) -> int:
    """Add two numbers.
    The sum may be negative.

    It never overflows.

    Args:
        a: The first number,
            of any size.
        b (int): The second.

    Returns:
        The sum.
    """
    return a + b


def test_name_description_and_parameter_texts_come_from_the_function() -> None:
    made = tool(add)
    assert made.name == "add"
    assert made.description == "Add two numbers. The sum may be negative.\n\nIt never overflows."
    texts = {name: p["description"] for name, p in made.parameters["properties"].items()}
    assert texts == {"a": "The first number, of any size.", "b": "The second."}


def test_what_the_decorator_is_given_wins_over_the_function() -> None:
    made = tool(name="plus", description="Sum.", effects={Effect.READS}, idempotent=True)(add)
    assert (made.name, made.description) == ("plus", "Sum.")
    assert made.read_only
    assert made.idempotent


def test_a_function_that_declares_no_effects_is_not_read_only() -> None:
    assert tool(add).effects == {Effect.EXECUTES}
    assert not tool(add).read_only


def test_a_function_without_a_docstring_has_an_empty_description() -> None:
    async def silent() -> None: ...

    assert tool(silent).description == ""


def test_the_context_is_injected_and_not_shown_to_the_model() -> None:
    @tool
    def where(context: ToolContext, depth: int) -> str:
        return f"{context.call_id} {depth}"

    assert list(where.parameters["properties"]) == ["depth"]


def test_a_parameter_may_bear_a_name_that_pydantic_uses_itself() -> None:
    @tool
    def odd(
        schema: str,
        json: int,
        model_config: bool,
        _hidden: int,
        context: str,
        größe: int,  # noqa: PLC2401
    ) -> None:
        """Odd names."""

    names = ["schema", "json", "model_config", "_hidden", "context", "größe"]
    assert list(odd.parameters["properties"]) == names
    arguments = {"schema": "s", "json": 1, "model_config": True, "_hidden": 2, "context": "c"}
    assert odd.validate({**arguments, "größe": 3}) == {**arguments, "größe": 3}


def test_a_method_becomes_a_tool_without_its_self() -> None:
    class Store:
        def put(self, key: str) -> str:
            """Put it."""
            return key

    assert list(tool(Store().put).parameters["properties"]) == ["key"]


def _untyped() -> Callable[..., Any]:
    def function(a: int, b) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    return function


def _starred() -> Callable[..., Any]:
    def function(*rest: int) -> None: ...

    return function


def _positional() -> Callable[..., Any]:
    def function(a: int, /) -> None: ...

    return function


def _unresolved() -> Callable[..., Any]:
    def function(a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    return function


def _wrong_default() -> Callable[..., Any]:
    def function(a: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    return function


def _schemaless() -> Callable[..., Any]:
    def function(a: asyncio.Future[int]) -> None: ...

    return function


def _without_json_schema() -> Callable[..., Any]:
    def function(a: Callable[[], int]) -> None: ...

    return function


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_untyped, "parameter 'b' has no type"),
        (_starred, "parameter 'rest' has no fixed name"),
        (_positional, "parameter 'a' has no fixed name"),
        (_unresolved, "'Nowhere' is not defined"),
        (_wrong_default, "default of parameter 'a' does not fit"),
        (_schemaless, "cannot be turned into a JSON schema"),
        (_without_json_schema, "cannot be turned into a JSON schema"),
        (lambda: lambda: None, "'<lambda>' cannot be a tool's name"),
        (lambda: Tool, "@tool takes a function"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused_with_the_reason(
    make: Callable[[], Callable[..., Any]], said: str
) -> None:
    with pytest.raises(ToolDefinitionError) as caught:
        tool(make())
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["1st", "a b", "a" * 65, "größe", "a\n"])
def test_a_name_that_a_provider_would_refuse_is_refused_here(name: str) -> None:
    with pytest.raises(ToolDefinitionError):
        tool(name=name)(add)
