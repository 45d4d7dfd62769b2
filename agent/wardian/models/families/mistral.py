"""Mistral: `[TOOL_CALLS]`, then up to version 7 of its tokenizer a JSON list, later name and JSON.

Version 11 puts `[CALL_ID]` between the name and `[ARGS]`. Source: the chat templates of
Mistral-Nemo-Instruct-2407, Mistral-Small-3.2 and Ministral-3, and mistral-common's documentation.
"""

from collections.abc import Sequence

from wardian.models.families.family import Family, Heard, Reading, Schemas, Terminals, WrittenCall
from wardian.models.families.json_object import as_object, object_rules, read_objects
from wardian.models.families.named import named_rules, read_arguments
from wardian.models.families.source import Source

CALLS, ARGUMENTS, CALL_ID = "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"
THINKING = (("[THINK]", "[/THINK]"), ("<think>", "</think>"))


def read(source: Source, heard: Heard, opened: str) -> Reading:
    """After `[TOOL_CALLS]`, in the notation of any version."""
    yield from source.blanks()
    if (yield from source.begins("[")):
        yield from read_objects(source, heard)
        return
    head, found = yield from source.text_up_to(ARGUMENTS, CALL_ID, "{")
    if found == CALL_ID:
        _, found = yield from source.text_up_to(ARGUMENTS, "{")
    if found == "{":
        source.pending = "{" + source.pending
    if not found:
        heard.end_call("", head.strip())
        return
    yield from read_arguments(source, heard, head.strip())


def call_id(name: str, number: int) -> str:
    """Nine letters and digits: the templates refuse anything else."""
    return f"call{number + 1:05d}"


def write_list(calls: Sequence[WrittenCall]) -> str:
    written = ", ".join(
        as_object(c)[:-1] + f', "id": "{c.id or call_id(c.name, i)}"}}' for i, c in enumerate(calls)
    )
    return f"{CALLS}[{written}]"


def grammar_list(schemas: Schemas, terminals: Terminals) -> str:
    rules = object_rules(schemas, terminals, more='(", \\"id\\": \\"" /[a-zA-Z0-9]{9}/ "\\"")?')
    return f'body: "[" call_object (", " call_object)* "]"\n{rules}'


def write_named(calls: Sequence[WrittenCall]) -> str:
    return "".join(f"{CALLS}{c.name}{ARGUMENTS}{c.json}" for c in calls)


def grammar_named(schemas: Schemas, terminals: Terminals) -> str:
    rules = named_rules(schemas, terminals, between=terminals.literal(ARGUMENTS))
    return f"body: named_call\n{rules}"


def write_numbered(calls: Sequence[WrittenCall]) -> str:
    return "".join(
        f"{CALLS}{c.name}{CALL_ID}{c.id or call_id(c.name, i)}{ARGUMENTS}{c.json}"
        for i, c in enumerate(calls)
    )


def grammar_numbered(schemas: Schemas, terminals: Terminals) -> str:
    between = f"{terminals.literal(CALL_ID)} /[a-zA-Z0-9]{{9}}/ {terminals.literal(ARGUMENTS)}"
    return f"body: named_call\n{named_rules(schemas, terminals, between=between)}"


def is_template_list(source: str) -> bool:
    return CALLS in source and ARGUMENTS not in source


def is_template_named(source: str) -> bool:
    return CALLS in source and ARGUMENTS in source and CALL_ID not in source


def is_template_numbered(source: str) -> bool:
    return CALLS in source and ARGUMENTS in source and CALL_ID in source


_MARKERS = (
    *(ARGUMENTS, CALL_ID, "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
)

MISTRAL_LIST = Family(
    name="mistral",
    opens=(CALLS,),
    read=read,
    write=write_list,
    grammar=grammar_list,
    is_template=is_template_list,
    reasoning=THINKING,
    markers=_MARKERS,
    call_id=call_id,
)
MISTRAL_NAMED = Family(
    name="mistral-v13",
    opens=(CALLS,),
    read=read,
    write=write_named,
    grammar=grammar_named,
    is_template=is_template_named,
    reasoning=THINKING,
    markers=_MARKERS,
    call_id=call_id,
)
MISTRAL_NUMBERED = Family(
    name="mistral-v11",
    opens=(CALLS,),
    read=read,
    write=write_numbered,
    grammar=grammar_numbered,
    is_template=is_template_numbered,
    reasoning=THINKING,
    markers=_MARKERS,
    call_id=call_id,
)
