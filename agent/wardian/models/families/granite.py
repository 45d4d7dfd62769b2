"""Granite 3: `<|tool_call|>` and a JSON list of calls. (Granite 4 writes as `hermes` does.)

Source: the chat template and model card of granite-3.3-2b-instruct.
"""

from collections.abc import Sequence

from wardian.models.families.family import Family, Heard, Reading, Schemas, Terminals, WrittenCall
from wardian.models.families.json_object import listed, object_rules, read_object, read_objects
from wardian.models.families.source import Source

OPENS = "<|tool_call|>"


def read(source: Source, heard: Heard, opened: str) -> Reading:
    yield from source.blanks()
    if (yield from source.begins("[")):
        yield from read_objects(source, heard)
    else:
        yield from read_object(source, heard, OPENS)


def write(calls: Sequence[WrittenCall]) -> str:
    return OPENS + listed(calls)


def grammar(schemas: Schemas, terminals: Terminals) -> str:
    rules = object_rules(schemas, terminals)
    return f'body: "[" call_object (", " call_object)* "]"\n{rules}'


def is_template(source: str) -> bool:
    return OPENS in source and "start_of_role" in source


GRANITE = Family(
    name="granite",
    opens=(OPENS,),
    read=read,
    write=write,
    grammar=grammar,
    is_template=is_template,
    silent=("<response>", "</response>"),
    markers=("<|start_of_role|>", "<|end_of_role|>"),
)
