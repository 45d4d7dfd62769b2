"""A tool's arguments from a command line: options by its schema, or values in its order."""

import json
from collections.abc import Sequence
from typing import Any, cast

from wardian.cli.task_input import UsageError
from wardian_policies.schema import nearest
from wardian_tools import Tool

WHOLE = "--arguments"
"""All of them as one JSON object"""


def tool_arguments(tool: Tool, words: Sequence[str]) -> dict[str, Any]:
    """The validated arguments. Raises: UsageError."""
    given = collected(tool, list(words))
    try:
        return tool.validate(given)
    except ValueError as error:
        raise UsageError(f"{tool.name}: {told(error)}.", f"It takes: {usage(tool)}") from error


def collected(tool: Tool, words: list[str]) -> dict[str, Any]:
    """What was written, by parameter; not validated. Raises: UsageError."""
    properties: dict[str, Any] = tool.parameters.get("properties", {})
    given: dict[str, Any] = {}
    in_order = list(properties)
    options_end = False
    while words:
        word = words.pop(0)
        if word == "--" and not options_end:
            options_end = True
        elif word.startswith("--") and not options_end:
            name, has_value, text = word.removeprefix("--").partition("=")
            if f"--{name}" == WHOLE:
                given |= as_object(text if has_value else taken(words, word))
                continue
            key, is_yes = parameter(tool, name, properties)
            if kind_of(properties[key]) == "boolean" and not has_value:
                given[key] = is_yes
            else:
                put(given, key, text if has_value else taken(words, word), properties[key])
        else:
            free = next((name for name in in_order if name not in given), None)
            if free is None:
                raise UsageError(f"{word!r} is one value too many.", f"It takes: {usage(tool)}")
            put(given, free, word, properties[free])
    return given


def parameter(tool: Tool, name: str, properties: dict[str, Any]) -> tuple[str, bool]:
    """The parameter an option names, and False for `--no-…` of a boolean. Raises: UsageError."""
    key = name.replace("-", "_")
    if key in properties:
        return key, True
    bare = key.removeprefix("no_")
    if bare in properties and kind_of(properties[bare]) == "boolean":
        return bare, False
    known = [f"--{one.replace('_', '-')}" for one in properties]
    raise UsageError(f"{tool.name} has no option --{name}.", nearest(f"--{name}", known))


def put(given: dict[str, Any], key: str, text: str, schema: dict[str, Any]) -> None:
    """The value a word stands for: text as it is, a list item by item, anything else as JSON."""
    kind = kind_of(schema)
    if kind == "array" and not text.lstrip().startswith("["):
        item = value(text, kind_of(schema.get("items", {})))
        given[key] = [*given.get(key, []), item]
    else:
        given[key] = value(text, kind)


def value(text: str, kind: str) -> Any:
    if kind == "string":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # its own validation says what it should have been


def kind_of(schema: dict[str, Any]) -> str:
    """A schema's type, of `X | None` that of X; empty for several."""
    kinds = {str(one.get("type", "")) for one in schema.get("anyOf", [schema])} - {"null"}
    if "enum" in schema and all(isinstance(item, str) for item in schema["enum"]):
        return "string"
    return kinds.pop() if len(kinds) == 1 else ""


def as_object(text: str) -> dict[str, Any]:
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{WHOLE} is not JSON: {error}.", "Give one JSON object.") from error
    if not isinstance(loaded, dict):
        raise UsageError(f"{WHOLE} is not a JSON object.", 'Give one such as {"text": "x"}.')
    return cast("dict[str, Any]", loaded)


def taken(words: list[str], option: str) -> str:
    if not words:
        raise UsageError(f"{option} needs a value.", f"Write it as {option}=VALUE.")
    return words.pop(0)


def usage(tool: Tool) -> str:
    """Its options on a line."""
    required = tool.parameters.get("required", ())
    shown: list[str] = []
    for name, schema in tool.parameters.get("properties", {}).items():
        kind = kind_of(schema) or "json"
        text = f"--{name.replace('_', '-')} {kind.upper()}"
        shown.append(text if name in required else f"[{text}]")
    return " ".join(shown) or "no arguments"


def told(error: ValueError) -> str:
    """What pydantic has to say, in a line a problem."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    problems = [f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in errors()[:3]]
    return "; ".join(problems)
