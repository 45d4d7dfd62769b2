"""Schemas of arguments as tools bring them: what pydantic writes, and what people write by hand."""

import datetime as dt
import enum
import ipaddress
import pathlib
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Optional

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from typing_extensions import TypedDict

SHORT = Annotated[str, Field(max_length=8)]


class Colour(enum.Enum):
    RED = "red"
    BLUE = 'b"l\\ue\n'


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 20


class Point(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x: Annotated[int, Field(ge=-5, le=5)]
    y: Annotated[float, Field(ge=0, le=1)] = 0.0


class Tree(BaseModel):
    value: Annotated[int, Field(ge=0, le=9)]
    children: list["Tree"] = Field(default=[], max_length=2)


class Expression(BaseModel):
    """Two classes that need each other."""

    terms: Annotated[list["Term"], Field(min_length=1, max_length=2)]


class Term(BaseModel):
    factor: Annotated[int, Field(ge=0, le=9)]
    within: Expression | None = None


Expression.model_rebuild()


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=0, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]
    name: Annotated[str, Field(max_length=4)]


class Defaulted(BaseModel):
    """Its discriminator has a default, so JSON schema does not require it."""

    kind: Literal["defaulted"] = "defaulted"
    on: bool = True


class Bird(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    wing_span: Annotated[int, Field(ge=1, le=99, alias="wing-span")]


class Corner(NamedTuple):
    x: bool
    y: bool


class Options(TypedDict):
    deep: bool
    note: NotRequired[SHORT]


@dataclass
class Span:
    start: Annotated[int, Field(ge=0, le=99)]
    end: Annotated[int, Field(ge=0, le=99)] | None = None


TYPES: dict[str, Any] = {
    "string": str,
    "bounded": SHORT,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": None,
    "anything": Any,
    "object": dict[str, Any],
    "natural": Annotated[int, Field(ge=0)],
    "percent": Annotated[int, Field(ge=0, le=100)],
    "negative": Annotated[int, Field(lt=0, gt=-1000)],
    "below": Annotated[float, Field(lt=1.5, gt=-1.5)],
    "even": Annotated[int, Field(multiple_of=2, ge=0, le=20)],
    "literal": Literal["a", "b", 3],
    "literal_or_null": Literal["a"] | None,
    "one": Literal["only"],
    "enum": Colour,
    "int_enum": Level,
    "strings": Annotated[list[SHORT], Field(max_length=3)],
    "at_least": Annotated[list[bool], Field(min_length=2, max_length=4)],
    "matrix": Annotated[list[Annotated[list[bool], Field(max_length=2)]], Field(max_length=2)],
    "pair": tuple[bool, SHORT],
    "pairs": Annotated[list[tuple[bool, bool]], Field(max_length=2)],
    "named_tuple": Corner,
    "typed_dict": Options,
    "map": dict[Literal["a", "b"], bool],
    "map_of_enum": dict[Colour, bool],
    "map_of_pattern": dict[Annotated[str, Field(pattern="^[ab]{1,2}$")], bool],
    "map_of_maps": dict[Literal["x"], dict[Literal["y"], bool]],
    "optional": bool | None,
    "optional_string": Optional[SHORT],  # noqa: UP045  as people still write it
    "either": bool | SHORT,
    "three_ways": bool | Annotated[int, Field(ge=0, le=9)] | None,
    "model": Point,
    "optional_model": Point | None,
    "tree": Tree,
    "mutual": Expression,
    "union": Cat | Dog,
    "tagged": Annotated[Cat | Dog, Field(discriminator="kind")],
    "tagged_by_default": Annotated[Cat | Defaulted, Field(discriminator="kind")],
    "aliased": Bird,
    "dataclass": Span,
    "models": Annotated[list[Point], Field(max_length=2)],
    "map_of_models": dict[Literal["here"], Point],
    "pattern": Annotated[str, Field(pattern="^[a-z]{1,3}-[0-9]{1,4}$")],
    "alternatives": Annotated[str, Field(pattern="^(get|put|post)$")],
    "unicode": Annotated[str, Field(pattern="^[äöü]{2}$")],
    "letters": Annotated[str, Field(pattern=r"^\p{Greek}{1,2}$")],
    "unicode_literal": Literal["naïve", "日本", "🙂"],
    "at_least_two": Annotated[str, Field(min_length=2, max_length=6)],
    "date": dt.date,
    "datetime": dt.datetime,
    "time": dt.time,
    "uuid": uuid.UUID,
    "address": ipaddress.IPv4Address,
    "path": pathlib.Path,
    "duration": dt.timedelta,
    "set": Annotated[set[Literal["a", "b"]], Field(max_length=2)],
}
FIELDS: dict[str, dict[str, Any]] = {
    "empty": {},
    "all_optional": {"a": (SHORT, ""), "b": (bool, False), "c": (Point | None, None)},
    "mixed": {"path": (SHORT, ...), "first": (Level, 1), "last": (bool | None, None)},
    "many": {f"f{i}": (bool, ...) for i in range(12)},
    "nested": {"outer": (Annotated[list[Cat | Dog], Field(max_length=2)], ...), "on": (bool, True)},
    "quoted": {"v": (Literal['say "hi"', "back\\slash", "new\nline", "</tool_call>"], ...)},
    "marked": {"v": (Literal["<|im_end|>", "<tool_call>", "<think>"], ...)},
}

HAND_WRITTEN: dict[str, dict[str, Any]] = {
    "no_type": {"properties": {"on": {"type": "boolean"}}, "required": ["on"]},
    "type_list": {"properties": {"v": {"type": ["boolean", "null"]}}, "required": ["v"]},
    "any_object": {"type": "object", "additionalProperties": {"type": "boolean"}},
    "one_to_two": {
        "type": "object",
        "additionalProperties": {"type": "boolean"},
        "minProperties": 1,
        "maxProperties": 2,
    },
    "draft_7_definitions": {
        "definitions": {"flag": {"type": "boolean"}},
        "properties": {"v": {"$ref": "#/definitions/flag"}},
        "required": ["v"],
    },
    "escaped_reference": {
        "$defs": {"a/b": {"enum": [1, 2]}},
        "properties": {"v": {"$ref": "#/$defs/a~1b"}},
        "required": ["v"],
    },
    "fixed_object": {"properties": {"v": {"const": {"a": [1, None, "x"]}}}, "required": ["v"]},
    "odd_names": {
        "properties": {"a b": {"type": "boolean"}, 'ü"\\': {"type": "boolean"}, "": {"const": 1}},
        "required": ["a b", 'ü"\\', ""],
    },
    "unknown_format": {
        "properties": {"v": {"type": "string", "format": "color", "maxLength": 4}},
        "required": ["v"],
    },
    "prefix_items": {
        "properties": {
            "v": {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": False}
        },
        "required": ["v"],
    },
    "all_of": {
        "allOf": [
            {"properties": {"a": {"type": "boolean"}}, "required": ["a"]},
            {"properties": {"b": {"type": "boolean"}}, "required": ["b"]},
        ]
    },
    "nullable_reference": {
        "$defs": {"P": {"type": "object", "properties": {"n": {"enum": [1]}}, "required": ["n"]}},
        "properties": {"v": {"anyOf": [{"$ref": "#/$defs/P"}, {"type": "null"}]}},
        "required": ["v"],
    },
}

REFUSED: dict[str, dict[str, Any]] = {
    "look_ahead": {"properties": {"a": {"type": "string", "pattern": "(?=x)y"}}},
    "remote": {"properties": {"a": {"$ref": "https://example.com/schema"}}},
    "negation": {"properties": {"a": {"not": {"type": "string"}}}},
    "no_such_type": {"properties": {"a": {"type": "nonsense"}}},
    "condition": {
        "properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}},
        "if": {"properties": {"a": {"const": True}}},
        "then": {"required": ["b"]},
    },
    "contains": {"properties": {"a": {"type": "array", "contains": {"const": 1}}}},
    "overlapping_one_of": {
        "properties": {"a": {"oneOf": [{"type": "integer"}, {"type": "number"}]}},
    },
    "back_reference": {"properties": {"a": {"type": "string", "pattern": "(a)\\1"}}},
    "impossible": {
        "properties": {"a": {"type": "integer", "minimum": 5, "maximum": 1}},
        "required": ["a"],
    },
    "nothing_to_choose": {"properties": {"a": {"enum": []}}, "required": ["a"]},
}
"""What llguidance cannot enforce: it is named, and everything else of the schema still holds."""


def adapters() -> dict[str, tuple[TypeAdapter[Any], dict[str, Any]]]:
    """Name → what validates a call's arguments, and their schema."""
    made: dict[str, tuple[TypeAdapter[Any], dict[str, Any]]] = {}
    fields = {name: {"value": (kind, ...)} for name, kind in TYPES.items()} | FIELDS
    for name, wanted in fields.items():
        model: Any = create_model(name, __config__=ConfigDict(extra="forbid"), **wanted)
        made[name] = TypeAdapter(model), model.model_json_schema()
    return made
