"""Rewrites JSON schemas so that llguidance enforces as much of them as can be.

The result is at least as strict as what was given: a constraint may leave out values that a tool
would take, never let in one that it would not.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

_ONE = ("items", "additionalProperties", "contains", "not", "if", "then", "else")
_MANY = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "$defs", "definitions")


def enforceable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Objects take no names they do not list; names out of a list are said as a pattern."""
    return cast("dict[str, Any]", _rewritten(schema, schema, closing="allOf" not in repr(schema)))


def _rewritten(schema: Any, root: Mapping[str, Any], *, closing: bool) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    made = dict(cast("Mapping[str, Any]", schema))
    for key in _ONE:
        if key in made:
            made[key] = _rewritten(made[key], root, closing=closing)
    for key in _MANY:
        if isinstance(made.get(key), list):
            made[key] = [_rewritten(s, root, closing=closing) for s in made[key]]
    for key in _NAMED:
        if isinstance(made.get(key), dict):
            named = cast("dict[str, Any]", made[key])
            made[key] = {k: _rewritten(s, root, closing=closing) for k, s in named.items()}
    _name_by_pattern(made, root)
    if closing and ("properties" in made or "patternProperties" in made):
        made.setdefault("additionalProperties", False)
    return made


def _name_by_pattern(made: dict[str, Any], root: Mapping[str, Any]) -> None:
    """`propertyNames`, which pydantic writes for `dict[Literal[...], X]` and llguidance does not
    know, said with `patternProperties`."""
    pattern = _name_pattern(made.get("propertyNames"), root)
    if pattern is not None and "patternProperties" not in made and "properties" not in made:
        del made["propertyNames"]
        made["patternProperties"] = {pattern: made.pop("additionalProperties", {})}
        made["additionalProperties"] = False


def _name_pattern(names: Any, root: Mapping[str, Any]) -> str | None:
    """A pattern for names out of a list, or of the pattern given; None for anything else."""
    if not isinstance(names, dict):
        return None
    wanted = cast("dict[str, Any]", names)
    if str(wanted.get("$ref", "")).startswith("#/$defs/"):
        wanted = root.get("$defs", {}).get(wanted["$ref"].removeprefix("#/$defs/"), {})
    listed: list[Any] = wanted.get("enum", [wanted["const"]] if "const" in wanted else [])
    if listed and all(isinstance(k, str) for k in listed):
        return f"^({'|'.join(re.escape(k) for k in listed)})$"
    return wanted.get("pattern") if set(wanted) <= {"type", "pattern"} else None
