"""The schema of parameters that are plain: text, numbers, truth values, bounded or optional; one of
some texts; lists of these, or of dataclasses whose fields are such.

pydantic would give the same one, but only after an import that costs more than the rest of a short
run's start; what is not plain is left to it.
"""

import math
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter, getdoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from wardian_tools.bounds import Between

_TYPES: dict[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def plain_schema(
    parameters: list[Parameter], annotations: dict[str, Any], descriptions: dict[str, str]
) -> dict[str, Any] | None:
    """JSON schema of the arguments object; None when a parameter is not plain."""
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for parameter in parameters:
        shown = _shown(annotations[parameter.name], parameter.default, definitions)
        if shown is None:
            return None
        if parameter.name in descriptions:
            shown["description"] = descriptions[parameter.name]
        if parameter.default not in (Parameter.empty, None):
            shown["default"] = parameter.default
        properties[parameter.name] = shown
    required = [p.name for p in parameters if p.default is Parameter.empty]
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    return schema | ({"$defs": definitions} if definitions else {})


def _shown(annotation: Any, default: object, definitions: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of one parameter without its texts; None when it is not plain.

    What it refers to is added to `definitions`.
    """
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not NoneType]
        if default is not None or len(members) != 1:
            return None
        annotation, default = members[0], Parameter.empty
    if get_origin(annotation) is list and default is Parameter.empty:
        return _list(get_args(annotation)[0], definitions)
    if get_origin(annotation) is Literal:
        return _one_of(get_args(annotation), default)
    bounds: dict[str, Any] = {}
    if get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        if annotation is not int or len(extras) != 1 or not isinstance(extras[0], Between):
            return None
        bounds = extras[0].as_schema()
    if not isinstance(annotation, type) or annotation not in _TYPES:
        return None
    if not _fits(default, annotation, bounds):
        return None
    return {"type": _TYPES[annotation], **bounds}


def _one_of(choices: tuple[object, ...], default: object) -> dict[str, Any] | None:
    is_plain = len(choices) > 1 and all(type(choice) is str for choice in choices)
    if not is_plain or not (default is Parameter.empty or default in choices):
        return None
    return {"type": "string", "enum": list(choices)}


def _list(item: Any, definitions: dict[str, Any]) -> dict[str, Any] | None:
    if not is_dataclass(item):
        shown = _shown(item, Parameter.empty, definitions)
        is_nested = get_origin(item) is list or (shown is not None and "minimum" in shown)
        return None if shown is None or is_nested else {"type": "array", "items": shown}
    assert isinstance(item, type)
    name = item.__name__
    if name not in definitions:
        if (definition := _definition(item)) is None:
            return None
        definitions[name] = definition
    return {"type": "array", "items": {"$ref": f"#/$defs/{name}"}}


def _definition(item: Any) -> dict[str, Any] | None:
    """Of a dataclass whose fields are plain; texts beside a field's type are for readers."""
    text = getdoc(item) or ""
    if hasattr(item, "__pydantic_fields__") or text.startswith(f"{item.__name__}("):
        return None  # pydantic's own, or a docstring that nobody wrote
    hints = get_type_hints(item, include_extras=True)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in fields(item):
        is_given = field.default is not MISSING
        default = field.default if is_given else Parameter.empty
        shown = _shown(_unread(hints[field.name]), default, {})
        is_simple = field.init and field.default_factory is MISSING
        if shown is None or not is_simple or shown["type"] == "array":
            return None
        is_shown = is_given and default is not None
        properties[field.name] = shown | ({"default": default} if is_shown else {})
        if not is_given:
            required.append(field.name)
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return {**schema, "additionalProperties": False, "description": text}


def _unread(annotation: Any) -> Any:
    """Without texts, which say nothing to pydantic."""
    if get_origin(annotation) is Annotated and all(
        isinstance(extra, str) for extra in annotation.__metadata__
    ):
        return get_args(annotation)[0]
    return annotation


def _fits(default: Any, kind: Any, bounds: dict[str, Any]) -> bool:
    if default is Parameter.empty:
        return True
    if type(default) is not kind:
        return False
    if kind is float:
        return math.isfinite(default)
    return not bounds or bounds["minimum"] <= default <= bounds.get("maximum", default)
