"""What a template can say, found out by letting it say it.

Templates mention `tools` and `tool_calls` and still leave them out, take arguments as objects only
or as text only, or refuse two calls in one message. A short conversation rendered in each way shows
which. Where none of it can be rendered, the template's source is believed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wardian.models.families import Family, WrittenCall
from wardian.models.template_chat import Chat, arguments_as_text, own_ids
from wardian.models.template_sandbox import RawJson

Rendering = Callable[[Chat, list[dict[str, Any]]], str | None]
"""The text of a conversation with these tools; None where the template fails or refuses."""

TOOL, CALL, OTHER_CALL = "probe_tool", "probe_call", "probe_other"
VALUE, RESULT, ORDERS = "probe_value", "probe_result", "probe_orders"


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    tools: bool
    """It describes the tools."""
    calls: bool
    """It writes calls in the family's own way."""
    results: bool
    """It has a place for results."""
    text_arguments: bool = False
    """Arguments must be JSON text."""
    several_calls: bool = True
    """A message may hold more than one call."""


IN_WORDS = Abilities(tools=False, calls=False, results=False)
"""Of a template that knows nothing of tools: all of it is said in words."""


def probe(render: Rendering, family: Family, *, mentions_tools: bool) -> Abilities | None:
    """What the template can say in the family's way; None where it writes calls in another."""
    told = render(_chat(family, 1), [_tool()])
    as_text = False
    if told is None or not _says_call(told, family):
        other = render(arguments_as_text(_chat(family, 1)), [_tool()])
        as_text = other is not None and _says_call(other, family)
        told = other if as_text or told is None else told
    if told is None:
        return Abilities(tools=mentions_tools, calls=True, results=True)
    if CALL in told and not _says_call(told, family):
        return None
    two = _chat(family, 2)
    both = render(arguments_as_text(two) if as_text else two, [_tool()]) or ""
    return Abilities(
        tools=TOOL in told,
        calls=CALL in told,
        results=RESULT in told,
        text_arguments=as_text,
        several_calls=OTHER_CALL in both and both.count(VALUE) > told.count(VALUE),
    )


def forgets_orders(render: Rendering, family: Family) -> bool:
    """Does it tell the system message, and leave it out once a tool has been called?"""
    chat = [{"role": "system", "content": ORDERS}, *_chat(family, 1)]
    first, later = render(chat[:2], [_tool()]), render(chat, [_tool()])
    told, called = ORDERS in (first or ""), CALL in (later or "")
    return told and called and ORDERS not in (later or "")


def _says_call(text: str, family: Family) -> bool:
    """Is the call there as the family writes it, blanks aside?"""
    arguments = RawJson(f'{{"key": "{VALUE}"}}')
    call = WrittenCall(name=CALL, arguments=arguments, json=arguments.text)
    return _squeezed(family.write([call])) in _squeezed(text)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _chat(family: Family, calls: int) -> Chat:
    names = (CALL, OTHER_CALL)[:calls]
    made = [
        {
            "type": "function",
            "id": f"call{i + 1:05d}",
            "function": {"name": name, "arguments": RawJson(f'{{"key": "{VALUE}"}}')},
        }
        for i, name in enumerate(names)
    ]
    results = [
        {"role": "tool", "name": name, "tool_call_id": call["id"], "content": RESULT}
        for name, call in zip(names, made, strict=True)
    ]
    chat: Chat = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "", "tool_calls": made},
        *results,
    ]
    return own_ids(chat, family)


def _tool() -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"key": {"type": "string", "description": "?"}}}
    function = {"name": TOOL, "description": "?", "parameters": parameters}
    return {"type": "function", "function": function}
