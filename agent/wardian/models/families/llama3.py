"""Llama 3: a reply that is nothing but `{"name": …, "parameters": {…}}`, one call at a time.

`<|python_tag|>` may stand before it. Source: Meta's prompt format of Llama 3.1 and 3.3.
"""

from collections.abc import Sequence

from wardian.models.families.family import Family, Heard, Reading, Schemas, Terminals, WrittenCall
from wardian.models.families.json_object import as_object, object_rules, read_object
from wardian.models.families.source import Source

PYTHON_TAG = "<|python_tag|>"


def read(source: Source, heard: Heard, opened: str) -> Reading:
    yield from source.blanks()
    yield from read_object(source, heard, PYTHON_TAG)


def write(calls: Sequence[WrittenCall]) -> str:
    return "; ".join(as_object(call, "parameters") for call in calls)


def grammar(schemas: Schemas, terminals: Terminals) -> str:
    return f"body: call_object\n{object_rules(schemas, terminals, key='parameters')}"


def is_template(source: str) -> bool:
    return "<|start_header_id|>" in source and "ipython" in source


LLAMA3 = Family(
    name="llama3",
    opens=(PYTHON_TAG,),
    read=read,
    write=write,
    grammar=grammar,
    is_template=is_template,
    bare_opens='{"name"',
    markers=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>"),
)
