"""Qwen3-Coder: `<function=NAME>`, and each argument in a tag `<parameter=KEY>` of its own.

Also Qwen 3.5 and Nemotron 3. Source: the chat template of Qwen3-Coder-30B-A3B-Instruct.
"""

from collections.abc import Sequence

from wardian.models.families import tool_call
from wardian.models.families.family import Family, Schemas, Terminals, WrittenCall
from wardian.models.families.tagged import tagged_rules
from wardian.models.families.tool_call import CLOSES, OPENS, as_text


def write(calls: Sequence[WrittenCall]) -> str:
    return "\n".join(f"{OPENS}\n{_function(call)}\n{CLOSES}" for call in calls)


def _function(call: WrittenCall) -> str:
    parameters = "".join(
        f"<parameter={key}>\n{as_text(value)}\n</parameter>\n"
        for key, value in call.arguments.items()
    )
    return f"<function={call.name}>\n{parameters}</function>"


def grammar(schemas: Schemas, terminals: Terminals) -> str:
    rules = tagged_rules(
        schemas,
        terminals,
        head="<function={name}>\n",
        opens="<parameter={name}>\n",
        closes="\n</parameter>\n",
        tail="</function>",
    )
    return f'body: "\\n"? tagged_call "\\n"? {terminals.literal(CLOSES)}\n{rules}'


def is_template(source: str) -> bool:
    return "tool_calls" in source and OPENS in source and "<parameter=" in source


QWEN_CODER = Family(
    name="qwen-coder",
    opens=(OPENS, tool_call.FUNCTION),
    read=tool_call.read,
    write=write,
    grammar=grammar,
    is_template=is_template,
    markers=(CLOSES, *tool_call.RESULT_MARKERS, "</function>", "<parameter=", "</parameter>"),
)
