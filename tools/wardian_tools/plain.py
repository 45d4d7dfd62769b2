"""The schema of parameters that are plain: text, numbers, truth values, bounded or optional.

pydantic would give the same one, but only after an import that costs more than the rest of a short
run's start; what is not plain is left to it.
"""

import math
from inspect import Parameter
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from wardian_tools.bounds import Between

_TYPES: dict[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def plain_schema(
    parameters: list[Parameter], annotations: dict[str, Any], descriptions: dict[str, str]
) -> dict[str, Any] | None:
    """JSON schema of the arguments object; None when a parameter is not plain."""
    properties: dict[str, Any] = {}
    for parameter in parameters:
        shown = _shown(annotations[parameter.name], parameter.default)
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
    return schema | {"additionalProperties": False}


def _shown(annotation: Any, default: object) -> dict[str, Any] | None:
    """The schema of one parameter without its texts; None when it is not plain."""
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not NoneType]
        if default is not None or len(members) != 1:
            return None
        annotation, default = members[0], Parameter.empty
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


def _fits(default: Any, kind: Any, bounds: dict[str, Any]) -> bool:
    if default is Parameter.empty:
        return True
    if type(default) is not kind:
        return False
    if kind is float:
        return math.isfinite(default)
    return not bounds or bounds["minimum"] <= default <= bounds.get("maximum", default)
