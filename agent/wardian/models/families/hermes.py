"""Hermes and Qwen: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, any number of them.

Also Granite 4, SmolLM3 and many finetunes; and what a model is taught in words whose template has
no place for calls. Source: NousResearch's Hermes function calling; the template of Qwen3-0.6B.
"""

from collections.abc import Sequence

from wardian.models.families import tool_call
from wardian.models.families.family import Family, Schemas, Terminals, WrittenCall
from wardian.models.families.json_object import as_object, object_rules
from wardian.models.families.tool_call import CLOSES, OPENS

TOOLS_TEXT = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

{how}"""
"""Source: the chat template of Qwen 2.5 and 3, after NousResearch's Hermes function calling."""

HERMES_HOW = """For each function call, return a json object with function name and arguments \
within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""


def write(calls: Sequence[WrittenCall]) -> str:
    return "\n".join(f"{OPENS}\n{as_object(call)}\n{CLOSES}" for call in calls)


def grammar(schemas: Schemas, terminals: Terminals) -> str:
    closes = terminals.literal(CLOSES)
    return f'body: "\\n"? call_object "\\n"? {closes}\n' + object_rules(schemas, terminals)


def is_template(source: str) -> bool:
    return "tool_calls" in source and OPENS in source


HERMES = Family(
    name="hermes",
    opens=(OPENS, tool_call.FUNCTION),
    read=tool_call.read,
    write=write,
    grammar=grammar,
    is_template=is_template,
    markers=(CLOSES, *tool_call.RESULT_MARKERS),
)
