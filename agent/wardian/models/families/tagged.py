"""Calls that give each argument in tags of its own: text stands bare, other values as JSON.

Not covered: a string that holds its own closing tag, and a string that looks like a number where
the schema allows both. The notation itself cannot tell them apart.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from wardian.models.families.family import Schemas, Terminals
from wardian.models.families.json_object import arguments_schema

_PYTHON = {"True": True, "False": False, "None": None}
"""Templates that write values with Jinja's `string` filter teach models these spellings."""
_TYPES: dict[type, tuple[str, ...]] = {
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number", "integer"),
    str: ("string",),
    list: ("array",),
    dict: ("object",),
    type(None): ("null",),
}


def value_of(text: str, schema: Any, root: Mapping[str, Any]) -> Any:
    """The value that stands for `text` under the schema of its parameter."""
    allowed = types_allowed(schema, root)
    if allowed == {"string"}:
        return text
    try:
        value = _PYTHON[text] if text in _PYTHON else json.loads(text)
    except (ValueError, RecursionError):
        return text
    fits = allowed is None or not allowed.isdisjoint(_TYPES[type(value)])
    return value if fits and not isinstance(value, str) else text


def types_allowed(schema: Any, root: Mapping[str, Any], depth: int = 0) -> set[str] | None:
    """JSON type names a schema allows; None where it does not say."""
    if not isinstance(schema, dict) or depth > 8:
        return None
    node = cast("dict[str, Any]", schema)
    if isinstance(node.get("$ref"), str):
        return types_allowed(_resolved(node["$ref"], root), root, depth + 1)
    if (values := narrow_values(node)) is not None:
        return {_TYPES[type(value)][0] for value in values if type(value) in _TYPES}
    kind = node.get("type")
    if isinstance(kind, str):
        return {kind}
    if isinstance(kind, list):
        return {str(k) for k in cast("list[object]", kind)}
    for key in ("anyOf", "oneOf"):
        if isinstance(node.get(key), list):
            return _united(cast("list[Any]", node[key]), root, depth)
    return None


def _united(schemas: list[Any], root: Mapping[str, Any], depth: int) -> set[str] | None:
    found: set[str] = set()
    for schema in schemas:
        allowed = types_allowed(schema, root, depth + 1)
        if allowed is None:
            return None
        found |= allowed
    return found


def resolved(schema: Any, root: Mapping[str, Any]) -> Any:
    """The schema that a reference stands for; itself where it is none, or one to nothing."""
    seen = 0
    while isinstance(schema, dict) and seen < 8:
        reference = cast("dict[str, Any]", schema).get("$ref")
        if not isinstance(reference, str):
            break
        seen, schema = seen + 1, _resolved(reference, root)
    return cast("Any", schema)


def _resolved(reference: str, root: Mapping[str, Any]) -> Any:
    node: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if not isinstance(node, dict) or part not in node:
            return None
        node = cast("dict[str, Any]", node)[part]
    return node


def parameters_of(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties: object = schema.get("properties")
    return cast("dict[str, Any]", properties) if isinstance(properties, dict) else {}


def tagged_rules(
    schemas: Schemas,
    terminals: Terminals,
    *,
    head: str,
    opens: str,
    closes: str,
    tail: str,
    gap: str = "",
) -> str:
    """Lark: `tagged_call` is `head`, each parameter in its tags in the schema's order, `tail`.

    `{name}` in `head` and `opens` is the tool's or the parameter's name; `{string}` says whether
    the value is text. After `head` and `closes` comes `gap`, which models sometimes leave out.
    """
    lines = ["tagged_call: " + " | ".join(f"call_{i}" for i in range(len(schemas)))]
    spelled, gap = terminals.literal, f"{json.dumps(gap)}?" if gap else ""
    for i, (tool, parameters) in enumerate(schemas.items()):
        schema = arguments_schema(parameters)
        required = schema.get("required") or ()
        parts = [spelled(head.format(name=tool)), gap]
        for j, (name, given) in enumerate(parameters_of(schema).items()):
            below = resolved(given, schema)
            is_text = types_allowed(below, schema) == {"string"}
            opened = spelled(opens.format(name=name, string="true" if is_text else "false"))
            if is_text and narrow_values(below) is None:
                value = terminals.text_to(closes)
            else:
                value = f"{_json(below, schema, terminals, tool)} {spelled(closes)}"
            lines.append(f"parameter_{i}_{j}: {opened} {value} {gap}")
            parts.append(f"parameter_{i}_{j}" + ("" if name in required else "?"))
        lines.append(f"call_{i}: {' '.join(parts)} {spelled(tail) if tail else ''}")
    return "\n".join(lines) + "\n"


def _json(below: Any, schema: Mapping[str, Any], terminals: Terminals, tool: str) -> str:
    """A value that is not plain text, its references still resolvable."""
    values = narrow_values(below)
    if values is not None and all(isinstance(value, str) for value in values):
        return "(" + " | ".join(terminals.literal(str(value)) for value in values) + ")"
    node = cast("dict[str, Any]", below) if isinstance(below, dict) else {}
    kept = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    return terminals.json({**kept, **node}, tool)


def narrow_values(schema: Any) -> list[Any] | None:
    """The few values a schema lists, where it lists them."""
    if not isinstance(schema, dict):
        return None
    node = cast("dict[str, Any]", schema)
    if "const" in node:
        return [node["const"]]
    values = node.get("enum")
    return list(cast("list[object]", values)) if isinstance(values, list) and values else None
