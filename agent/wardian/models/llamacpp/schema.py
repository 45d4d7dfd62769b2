"""Rewrites JSON schemas so that llguidance enforces as much of them as can be.

The result is at least as strict as what was given: a constraint may leave out values that a tool
would take, never let in one that it would not.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

_ONE = ("items", "additionalProperties", "contains", "not", "if", "then", "else")
_MANY = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "$defs", "definitions")

FORMATS = frozenset(["date", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"])
"""Those llguidance knows. Any other says nothing about what is valid, so it is left out."""

_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
_DAY = (
    r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    r"|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_N = "[0-9]{1,4}"
_PART_OF_DAY = f"({_N}H({_N}M)?({_N}S)?|{_N}M({_N}S)?|{_N}S)"
PATTERNS = {
    "time": f"^{_TIME}$",
    "date-time": f"^[12][0-9]{{3}}-{_DAY}T{_TIME}$",
    "duration": f"^P({_N}D|({_N}D)?T{_PART_OF_DAY})$",
}
"""Formats of which llguidance lets more through than most parsers take: leap seconds, `t` for `T`.

Source: RFC 3339, section 5.6, and appendix A for durations.
"""

Complaint = Callable[[Mapping[str, Any]], str]
"""What llguidance has against a schema; empty where nothing."""


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
    if isinstance(made.get("format"), str) and made["format"] not in FORMATS:
        pattern = PATTERNS.get(made.pop("format"))
        if pattern is not None and "pattern" not in made:
            made["pattern"] = pattern
    _name_its_kind(made)
    if closing and ("properties" in made or "patternProperties" in made):
        made.setdefault("additionalProperties", False)
    return made


def _name_its_kind(made: dict[str, Any]) -> None:
    """A property of one possible value tells the members of a union apart. With a default, pydantic
    does not list it as required, and refuses the union without it all the same."""
    properties = made.get("properties")
    if isinstance(properties, dict):
        fixed = [n for n, s in cast("dict[str, Any]", properties).items() if _is_fixed(s)]
        required = cast("list[str]", made.get("required", []))
        if fixed:
            made["required"] = [*required, *(n for n in fixed if n not in required)]


def _is_fixed(schema: Any) -> bool:
    return isinstance(schema, dict) and "const" in schema


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


def without_unusable(schema: Mapping[str, Any], complaint: Complaint) -> tuple[dict[str, Any], str]:
    """The schema without patterns and bounds that llguidance cannot compile, and what that lets in.

    One alternative of several is left out whole, which lets nothing in.
    """
    told: list[str] = []
    mended = _mended(dict(schema), complaint, told)
    return mended, "; ".join(told)


def _mended(node: Any, complaint: Complaint, told: list[str]) -> Any:
    if isinstance(node, list):
        return [_mended(n, complaint, told) for n in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    made = dict(cast("dict[str, Any]", node))
    for key in _MANY[:2]:
        if isinstance(made.get(key), list):
            alternatives = cast("list[Any]", made[key])
            usable = [a for a in alternatives if not _unusable(a, complaint)]
            made[key] = usable or alternatives
    if said := _unusable(made, complaint):
        told.append(said)
        made = {k: v for k, v in made.items() if k not in _VALUE_KEYS}
    return {
        k: v if k in ("enum", "const", "default", "examples") else _mended(v, complaint, told)
        for k, v in made.items()
    }


_VALUE_KEYS = (
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
)


def _unusable(node: Any, complaint: Complaint) -> str:
    """What speaks against the pattern or the bounds of this very node."""
    if not isinstance(node, dict):
        return ""
    own = cast("dict[str, Any]", node)
    kept = {k: v for k, v in own.items() if k in _VALUE_KEYS}
    if not kept or not isinstance(own.get("type"), str):
        return ""
    return complaint({"type": own["type"], **kept})
