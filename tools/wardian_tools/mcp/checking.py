"""Arguments against a server's schema, without letting the schema do harm.

Covers: what `jsonschema` checks, for schemas whose checking cannot take long. Of others (regular
expressions, references in circles, references that multiply) only the outermost object is checked:
names, required ones, plain types. The server checks again whatever it is sent.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from wardian_tools.parsing import NotArguments, preview
from wardian_tools.problems import clipped

MAX_COST = 4_000
"""Subschemas, each counted as often as it is referred to."""
SLOW = ("pattern", "patternProperties", "$dynamicRef", "$recursiveRef", "uniqueItems")
EMPTY: dict[str, Any] = {"type": "object", "properties": {}}
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def parameters_of(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as every provider takes it: of an object, with its properties."""
    kept = {key: value for key, value in schema.items() if key not in ("$schema", "$id")}
    if kept.get("type") != "object" or not isinstance(kept.get("properties", {}), dict):
        return {**EMPTY, **{k: v for k, v in kept.items() if k in ("description", "$defs")}}
    return {**EMPTY, **kept}


def validator(name: str, schema: dict[str, Any]) -> Callable[[Any], dict[str, Any]]:
    """Parsed JSON → arguments. What it gives raises NotArguments."""
    thorough: Any = None

    def validate(value: Any) -> dict[str, Any]:
        nonlocal thorough
        arguments = outermost(name, schema, value)
        if thorough is None:
            thorough = _thorough(schema) if is_cheap(schema) else False
        if thorough:
            error = next(thorough.iter_errors(arguments), None)
            if error is not None:
                where = ".".join(str(part) for part in error.absolute_path) or "the object"
                _refuse(name, f"{clipped(where, 60)}: {clipped(error.message, 200)}", schema)
        return arguments

    return validate


def _thorough(schema: dict[str, Any]) -> Any:
    """None where the schema is itself not valid."""
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
    except SchemaError:
        return False
    # An empty registry: nothing is ever fetched to follow a reference.
    return kind(schema, registry=Registry())


def outermost(name: str, schema: dict[str, Any], value: Any) -> dict[str, Any]:
    """The value, if it is an object with the names and plain types asked for."""
    assert isinstance(value, dict)  # `parse_arguments` gives nothing else
    given = cast("dict[str, Any]", value)
    properties = cast("Mapping[str, Any]", schema.get("properties", {}))
    required = schema.get("required", [])
    for key in cast("list[str]", required) if isinstance(required, list) else []:
        if key not in given:
            _refuse(name, f"{preview(str(key), 40)} is missing", schema)
    for key, item in given.items():
        if key not in properties and schema.get("additionalProperties") is False:
            _refuse(name, f"{preview(key, 40)} is not an argument", schema)
        kind = _kind(properties.get(key))
        is_bool_for_number = isinstance(item, bool) and kind in ("integer", "number")
        if kind and (is_bool_for_number or not isinstance(item, TYPES[kind])):
            _refuse(name, f"{preview(key, 40)} must be of type {kind}", schema)
    return given


def _kind(schema: object) -> str:
    if not isinstance(schema, dict):
        return ""
    kind = cast("dict[str, object]", schema).get("type")
    return kind if isinstance(kind, str) and kind in TYPES and kind != "integer" else ""


def _refuse(name: str, why: str, schema: dict[str, Any]) -> None:
    properties = list(cast("Mapping[str, Any]", schema.get("properties", {})))
    takes = f"It takes: {', '.join(properties)}." if properties else "It takes no arguments."
    raise NotArguments(f"The arguments do not fit {name}: {why}. {clipped(takes, 200)}")


def is_cheap(schema: dict[str, Any]) -> bool:
    """Can it be checked in time that grows with the arguments alone?"""
    return _cost(schema, schema, {}, ()) <= MAX_COST


def _cost(node: object, root: dict[str, Any], known: dict[str, int], above: tuple[str, ...]) -> int:
    if isinstance(node, list):
        return sum(_cost(item, root, known, above) for item in cast("list[object]", node))
    if not isinstance(node, dict):
        return 0
    table = cast("dict[str, object]", node)
    if any(key in table for key in SLOW):
        return MAX_COST + 1
    total = 1
    reference = table.get("$ref")
    if isinstance(reference, str):
        total += _referred(reference, root, known, above)
    for key, value in table.items():
        if key not in ("$defs", "definitions", "enum", "const", "default", "examples"):
            total += _cost(value, root, known, above)
        if total > MAX_COST:
            break
    return total


def _referred(
    reference: str, root: dict[str, Any], known: dict[str, int], above: tuple[str, ...]
) -> int:
    if reference in above or not reference.startswith("#/"):
        return MAX_COST + 1
    if reference not in known:
        target: object = root
        for part in reference.removeprefix("#/").split("/"):
            target = (
                cast("dict[str, object]", target).get(part) if isinstance(target, dict) else None
            )
        known[reference] = _cost(target, root, known, (*above, reference))
    return known[reference]
