"""Reads what stands in `<tool_call>…</tool_call>`, in any of the three notations it is used for.

JSON (`hermes`), a tag a parameter (`qwen_coder`), and pairs of key and value (`glm`). Models
trained on one drift into another, so each is read wherever the marker is.
"""

import json
from collections.abc import Mapping
from typing import Any

from wardian.models.families.family import Heard, Reading
from wardian.models.families.json_object import read_object
from wardian.models.families.source import Source
from wardian.models.families.tagged import parameters_of, value_of

OPENS, CLOSES = "<tool_call>", "</tool_call>"
FUNCTION, FUNCTION_CLOSES = "<function=", "</function>"
PARAMETER, PARAMETER_CLOSES = "<parameter=", "</parameter>"
KEY, KEY_CLOSES = "<arg_key>", "</arg_key>"
VALUE, VALUE_CLOSES = "<arg_value>", "</arg_value>"
RESULT_MARKERS = ("<tool_response>", "</tool_response>")


def read(source: Source, heard: Heard, opened: str) -> Reading:
    """What follows `<tool_call>`, or `<function=` where a model forgot the former."""
    if opened == FUNCTION:
        yield from _read_function(source, heard)
        return
    yield from source.blanks()
    if (yield from source.begins(FUNCTION)):
        yield from _read_function(source, heard)
        yield from source.text_up_to(CLOSES)
    elif source.pending[:1] in ("{", "[", ""):
        yield from read_object(source, heard, CLOSES)
    else:
        yield from _read_pairs(source, heard)


def _read_function(source: Source, heard: Heard) -> Reading:
    """After `<function=`: a name and tags, to `</function>`."""
    name, _ = yield from source.text_up_to(">")
    name = name.strip()
    written, texts = [FUNCTION, name, ">"], dict[str, str]()
    while True:
        before, found = yield from source.text_up_to(PARAMETER, FUNCTION_CLOSES)
        written += (before, found)
        if found != PARAMETER:
            break
        key, _ = yield from source.text_up_to(">")
        text, closed = yield from source.text_up_to(PARAMETER_CLOSES)
        written += (key, ">", text, closed)
        texts[key] = text.removeprefix("\n").removesuffix("\n")
    arguments = as_json(texts, heard.schemas.get(name, {}))
    heard.end_call(name, arguments if found else "".join(written))


def _read_pairs(source: Source, heard: Heard) -> Reading:
    """A name, then keys and values in turn, to `</tool_call>`."""
    head, found = yield from source.text_up_to(KEY, CLOSES)
    name, texts, key = head.strip(), dict[str, str](), ""
    written = [head, found]
    while found in (KEY, VALUE):
        text, closed = yield from source.text_up_to(KEY_CLOSES if found == KEY else VALUE_CLOSES)
        if found == KEY:
            key = text.strip()
        else:
            texts[key] = text
        before, opened = yield from source.text_up_to(KEY, VALUE, CLOSES)
        written += (text, closed, before, opened)
        found = opened
    if found and (texts or name in heard.schemas):
        heard.end_call(name, as_json(texts, heard.schemas.get(name, {})))
    else:
        heard.end_call(name if texts else "", "".join(written).removesuffix(CLOSES).strip())


def as_json(texts: Mapping[str, str], schema: Mapping[str, Any]) -> str:
    """Arguments given as texts, as one JSON object."""
    known = parameters_of(schema)
    values = {key: value_of(text, known.get(key), schema) for key, text in texts.items()}
    return json.dumps(values, ensure_ascii=False)


def as_text(value: Any) -> str:
    """A value as these notations write it: text bare, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
