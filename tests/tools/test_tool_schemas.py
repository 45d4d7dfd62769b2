import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from wardian_tools import builtin_tools, canonical_json, tool
from wardian_tools.bounds import Between
from wardian_tools.errors import ToolDefinitionError


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    """A place."""

    title: str
    x: float
    y: float = 0.0


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog", "wolf"] = "dog"


@dataclass
class Span:
    start: int
    end: int | None = None


@dataclass
class Part:
    """A part of something."""

    name: Annotated[str, "What it is called."]
    state: Literal["open", "done"] = "open"
    count: int | None = None


@dataclass
class Bounded:
    """Its bound is pydantic's."""

    count: Annotated[int, Field(ge=1)]


@dataclass
class Untold:
    count: int


@dataclass
class Whole:
    """It has parts."""

    parts: list[str]


class Options(TypedDict, total=False):
    deep: bool


class Tree(BaseModel):
    value: int
    children: list["Tree"] = []


def schema_of(annotation: Any, default: Any = ...) -> dict[str, Any]:
    def function(value: annotation) -> None: ...

    if default is not ...:
        function.__defaults__ = (default,)
    return tool(function).parameters


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (str, {"type": "string"}),
        (bool, {"type": "boolean"}),
        (float, {"type": "number"}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Annotated[int, Field(ge=1, le=9)], {"type": "integer", "maximum": 9, "minimum": 1}),
        (date, {"type": "string", "format": "date"}),
        (Any, {}),
    ],
)
def test_an_annotation_is_shown_as_its_schema(annotation: Any, shown: dict[str, Any]) -> None:
    assert schema_of(annotation) == {
        "type": "object",
        "properties": {"value": shown},
        "required": ["value"],
        "additionalProperties": False,
    }


def test_an_optional_argument_with_default_null_is_shown_as_its_value_and_not_required() -> None:
    schema = schema_of(int | None, None)
    assert schema["properties"] == {"value": {"type": "integer"}}
    assert "required" not in schema


def test_other_defaults_are_shown() -> None:
    assert schema_of(Colour, Colour.BLUE)["properties"]["value"]["default"] == "blue"
    assert schema_of(list[int], [1])["properties"]["value"]["default"] == [1]


def test_an_enum_and_a_nested_model_keep_their_definitions_without_titles() -> None:
    @tool
    def paint(colour: Colour, at: Point) -> None:
        """Paint."""

    assert paint.parameters["$defs"]["Colour"] == {"type": "string", "enum": ["red", "blue"]}
    point = paint.parameters["$defs"]["Point"]
    assert point["description"] == "A place."
    assert list(point["properties"]) == ["title", "x", "y"]
    assert "title" not in point["properties"]["x"]
    assert paint.parameters["properties"]["at"] == {"$ref": "#/$defs/Point"}


@pytest.mark.parametrize("union", [Cat | Dog, Annotated[Cat | Dog, Field(discriminator="kind")]])
def test_the_tag_of_a_union_member_is_required_although_it_has_a_default(union: Any) -> None:
    cat = schema_of(union)["$defs"]["Cat"]
    assert cat["required"] == ["kind"]
    assert "default" not in cat["properties"]["kind"]
    assert cat["properties"]["lives"]["default"] == 9


def test_a_tag_with_two_values_is_required_too_when_it_discriminates() -> None:
    dog = schema_of(Annotated[Cat | Dog, Field(discriminator="kind")])["$defs"]["Dog"]
    assert dog["required"] == ["kind"]


def test_parameters_keep_the_order_of_the_signature() -> None:
    @tool
    def order(zebra: int, apple: int, mango: int = 1) -> None:
        """Order."""

    assert list(order.parameters["properties"]) == ["zebra", "apple", "mango"]
    assert order.parameters["required"] == ["zebra", "apple"]


def test_a_description_in_the_annotation_wins_over_the_docstring() -> None:
    @tool
    def f(a: Annotated[int, Field(description="from the annotation")], b: int) -> None:
        """F.

        Args:
            a: from the docstring
            b: from the docstring
        """

    shown = {name: p["description"] for name, p in f.parameters["properties"].items()}
    assert shown == {"a": "from the annotation", "b": "from the docstring"}


def test_a_field_as_default_bounds_the_argument_and_gives_its_default() -> None:
    some: list[int] = Field(default_factory=list)

    @tool
    def f(a: int = Field(default=3, ge=1), b: list[int] = some) -> None:
        """F."""

    assert f.parameters["properties"]["a"]["minimum"] == 1
    assert f.validate({}) == {"a": 3, "b": []}
    with pytest.raises(ValidationError):
        f.validate({"a": 0})


@pytest.mark.parametrize(
    ("annotation", "given", "understood"),
    [
        (int, "3", 3),
        (int, 3.0, 3),
        (Colour, "red", "red"),
        (date, "2024-02-29", "2024-02-29"),
        (Point, {"title": "t", "x": 1}, {"title": "t", "x": 1.0, "y": 0.0}),
        (Span, {"start": 1}, {"start": 1, "end": None}),
        (Options, {"deep": True}, {"deep": True}),
        (tuple[int, str], [1, "a"], [1, "a"]),
        (set[int], [1, 1], [1]),
        (Cat | Dog, {"kind": "wolf"}, {"kind": "wolf"}),
        (Tree, {"value": 1, "children": [{"value": 2}]}, None),
    ],
)
def test_validated_arguments_are_json_and_validate_again_to_themselves(
    annotation: Any, given: Any, understood: Any
) -> None:
    def function(value: annotation) -> None: ...

    validate = tool(function).validate
    once = validate({"value": given})
    canonical_json(once)
    assert validate(once) == once
    assert understood is None or once == {"value": understood}


@pytest.mark.parametrize(("annotation", "given"), [(int, 3.5), (int, "x"), (str, 3), (bool, "no?")])
def test_what_does_not_fit_is_refused(annotation: Any, given: Any) -> None:
    def function(value: annotation) -> None: ...

    with pytest.raises(ValidationError):
        tool(function).validate({"value": given})


def test_a_mutable_default_is_not_shared_between_calls() -> None:
    def function(value: list[int] = [1]) -> None: ...  # noqa: B006 - the point of the test

    validate = tool(function).validate
    validate({})["value"].append(2)
    assert validate({}) == {"value": [1]}


def test_the_schemas_of_the_built_in_tools_are_the_ones_the_tiny_model_knows() -> None:
    shown = {t.name: t.parameters for t in builtin_tools()}
    assert {name: list(p["properties"]) for name, p in shown.items()} == {
        "edit_file": ["path", "old", "new", "replace_all"],
        "list_files": ["path", "pattern"],
        "python": ["code"],
        "read_file": ["path", "start_line", "end_line"],
        "search_files": ["pattern", "path", "glob", "ignore_case"],
        "shell": ["command", "timeout_seconds"],
        "write_file": ["path", "content"],
    }
    assert all(p["additionalProperties"] is False for p in shown.values())
    assert shown["shell"]["properties"]["timeout_seconds"] == {
        "type": "integer",
        "maximum": 3600,
        "minimum": 1,
        "description": "Stop the command after this many seconds.",
    }


PLAIN: list[tuple[Any, Any]] = [
    (str, ...),
    (str, ""),
    (int, 0),
    (int, True),
    (float, 1.5),
    (float, 1),
    (bool, False),
    (str | None, None),
    (int | None, 3),
    (int | None, ...),
    (int | str, 3),
    (Annotated[int, Between(1)], 5),
    (Annotated[int, Between(1, 9)] | None, None),
    (Annotated[int, Field(ge=2)], 5),
    (Annotated[str, Field(description="Its own text.")], ...),
    (Literal["a", "b"], ...),
    (Literal["a", "b"], "b"),
    (Literal["a"], ...),
    (Literal["a", 1], ...),
    (list[str], ...),
    (list[int] | None, None),
    (list[str | None], ...),
    (list[list[str]], ...),
    (list[Annotated[int, Between(1)]], ...),
    (list[Literal["a", "b"]], ...),
    (list[Part], ...),
    (list[Part] | None, None),
    (list[Bounded], ...),
    (list[Untold], ...),
    (list[Whole], ...),
    (list[Point], ...),
    (list[Colour], ...),
]


@pytest.mark.parametrize(("annotation", "default"), PLAIN)
def test_plain_parameters_have_the_schema_that_pydantic_gives_them(
    annotation: Any, default: Any
) -> None:
    def alone(*, value: annotation) -> None:
        """Do it.

        Args:
            value: What to do.
        """

    def with_a_date(*, value: annotation, day: date) -> None:  # a date is left to pydantic
        """Do it.

        Args:
            value: What to do.
        """

    if default is not ...:
        alone.__kwdefaults__ = with_a_date.__kwdefaults__ = {"value": default}
    shown, reference = tool(alone).parameters, tool(with_a_date).parameters
    assert canonical_json(shown["properties"]["value"]) == canonical_json(
        reference["properties"]["value"]
    )
    assert ("value" in shown.get("required", ())) == ("value" in reference["required"])
    assert canonical_json(shown.get("$defs", {})) == canonical_json(reference.get("$defs", {}))


def test_a_plain_default_that_does_not_fit_is_refused_at_the_definition() -> None:
    def function(value: Annotated[int, Between(1, 9)] = 10) -> None: ...

    with pytest.raises(ToolDefinitionError, match="default of parameter 'value' does not fit"):
        tool(function)


def test_the_built_in_tools_are_made_without_pydantic() -> None:
    script = (
        "import sys; from wardian_tools.builtin import builtin_tools, talking_tools;"
        "builtin_tools(), talking_tools(); sys.exit('pydantic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", script], check=True)
