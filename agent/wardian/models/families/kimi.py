"""Kimi K2: a section of calls, each headed by an id made of the tool's name and a number.

Source: the chat template of Kimi-K2-Instruct and its guide to tool calls.
"""

from collections.abc import Sequence

from wardian.models.families.family import Family, Heard, Reading, Schemas, Terminals, WrittenCall
from wardian.models.families.named import named_rules, read_arguments
from wardian.models.families.source import Source

SECTION, SECTION_CLOSES = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL, CALL_CLOSES = "<|tool_call_begin|>", "<|tool_call_end|>"
ARGUMENTS = "<|tool_call_argument_begin|>"


def read(source: Source, heard: Heard, opened: str) -> Reading:
    """After the section's or a call's beginning."""
    if opened == CALL:
        yield from _read_call(source, heard)
    while True:
        yield from source.blanks()
        if (yield from source.begins(CALL, SECTION_CLOSES)) != CALL:
            return
        yield from _read_call(source, heard)


def _read_call(source: Source, heard: Heard) -> Reading:
    head, found = yield from source.text_up_to(ARGUMENTS, CALL_CLOSES, SECTION_CLOSES)
    if found != ARGUMENTS:
        heard.end_call("", head.strip())
        return
    name = head.strip().removeprefix("functions.").rpartition(":")[0] or head.strip()
    yield from read_arguments(source, heard, name, CALL_CLOSES, SECTION_CLOSES)


def call_id(name: str, number: int) -> str:
    return f"functions.{name}:{number}"


def write(calls: Sequence[WrittenCall]) -> str:
    written = "".join(
        f"{CALL}{c.id or call_id(c.name, i)}{ARGUMENTS}{c.json}{CALL_CLOSES}"
        for i, c in enumerate(calls)
    )
    return f"{SECTION}{written}{SECTION_CLOSES}"


def grammar(schemas: Schemas, terminals: Terminals) -> str:
    opens, closes, end = map(terminals.literal, (CALL, CALL_CLOSES, SECTION_CLOSES))
    between = f"/:[0-9]{{1,3}}/ {terminals.literal(ARGUMENTS)}"
    rules = named_rules(schemas, terminals, between=between, spell="functions.{}".format)
    return f"body: ({opens} named_call {closes})+ {end}\n{rules}"


def is_template(source: str) -> bool:
    return ARGUMENTS in source


KIMI = Family(
    name="kimi",
    opens=(SECTION, CALL),
    read=read,
    write=write,
    grammar=grammar,
    is_template=is_template,
    reasoning=(("<think>", "</think>"), ("◁think▷", "◁/think▷")),
    markers=(SECTION_CLOSES, CALL_CLOSES, ARGUMENTS),
    call_id=call_id,
)
