"""Argument text → a JSON object, or one sentence why not. Nothing a model writes raises here.

Covers: text that is too long, too deep, not JSON, not an object; keys given twice; NaN, Infinity
and numbers too large to hold; strings that are not Unicode (lone surrogates). Does not repair:
what is not right is said, and the model writes it again.
"""

import json
import re
from typing import Any, NoReturn, cast

from wardian_tools.calls import MAX_ARGUMENT_CHARS, MAX_DEPTH

_PREVIEW_CHARS = 60
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class NotArguments(Exception):
    """The text is no arguments object; the message is a sentence for the model."""


def preview(text: str, limit: int = _PREVIEW_CHARS) -> str:
    """The beginning of `text`, quoted, with everything unprintable escaped."""
    shown = repr(text[:limit])
    shown = shown if len(shown) <= 2 * limit else shown[: 2 * limit]
    return shown if len(text) <= limit else f"{shown}…"


def parse_arguments(text: str) -> dict[str, Any]:
    """The object written in `text`; blank text is an empty object. Raises: NotArguments."""
    if not text or text.isspace():
        return {}
    if len(text) > MAX_ARGUMENT_CHARS:
        raise NotArguments(
            f"The arguments are {len(text)} characters long; at most {MAX_ARGUMENT_CHARS} are read."
        )
    if _depth_exceeds(text, MAX_DEPTH):
        raise NotArguments(f"The arguments are nested deeper than {MAX_DEPTH} levels.")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        around = preview(text[max(0, error.pos - 20) : error.pos + 20], 40)
        what = error.msg.removesuffix(" at")
        raise NotArguments(
            f"The arguments are not valid JSON: {what} at character {error.pos}, near {around}."
        ) from None
    except ValueError:  # Python refuses to convert integers of more than 4300 digits
        raise NotArguments("The arguments hold a number with too many digits.") from None
    if not isinstance(value, dict):
        raise NotArguments(
            f"The arguments must be a JSON object, not {_KINDS[type(value)]}: {preview(text)}."
        )
    found = cast("dict[str, Any]", value)
    if not text.isascii():
        _refuse_surrogates(text)
    if "\\u" in text and _SURROGATE_ESCAPE.search(text):
        _refuse_surrogates(json.dumps(found, ensure_ascii=False))
    return found


_KINDS: dict[type, str] = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def _depth_exceeds(text: str, limit: int) -> bool:
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for match in _BRACKETS.finditer(text):
        first = match[0][0]
        if first in "[{":
            depth += 1
            if depth > limit:
                return True
        elif first in "]}":
            depth -= 1
    return False


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotArguments(
            "The arguments hold half of a surrogate pair, which is not a character."
        ) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise NotArguments(f"The key {preview(key)} appears twice in one object.")
            seen.add(key)
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise NotArguments(f"{name} is not a JSON number.")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NotArguments(f"The number {preview(digits, 30)} is too large.")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
)
