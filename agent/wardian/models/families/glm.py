"""GLM 4.5 and later: `<tool_call>NAME`, then `<arg_key>` and `<arg_value>` in turn.

4.7 leaves out the newlines; both are read. Source: the chat templates of GLM-4.6 and GLM-4.7-Flash.
"""

from collections.abc import Sequence

from wardian.models.families import tool_call
from wardian.models.families.family import Family, Schemas, Terminals, WrittenCall
from wardian.models.families.tagged import tagged_rules
from wardian.models.families.tool_call import CLOSES, OPENS, VALUE_CLOSES, as_text


def write(calls: Sequence[WrittenCall]) -> str:
    return "\n".join(_call(call, "\n") for call in calls)


def write_compact(calls: Sequence[WrittenCall]) -> str:
    return "".join(_call(call, "") for call in calls)


def _call(call: WrittenCall, gap: str) -> str:
    pairs = "".join(
        f"<arg_key>{key}</arg_key>{gap}<arg_value>{as_text(value)}{VALUE_CLOSES}{gap}"
        for key, value in call.arguments.items()
    )
    return f"{OPENS}{call.name}{gap}{pairs}{CLOSES}"


def grammar(schemas: Schemas, terminals: Terminals) -> str:
    return _grammar(schemas, terminals, "\n")


def grammar_compact(schemas: Schemas, terminals: Terminals) -> str:
    return _grammar(schemas, terminals, "")


def _grammar(schemas: Schemas, terminals: Terminals, gap: str) -> str:
    rules = tagged_rules(
        schemas,
        terminals,
        head="{name}",
        opens=f"<arg_key>{{name}}</arg_key>{gap}<arg_value>",
        closes=VALUE_CLOSES,
        tail=CLOSES,
        gap=gap,
    )
    return f"body: tagged_call\n{rules}"


def is_template(source: str) -> bool:
    return "tool_calls" in source and "<arg_key>" in source and not is_template_compact(source)


def is_template_compact(source: str) -> bool:
    return "tool_calls" in source and "</arg_key><arg_value>" in source


_MARKERS = (
    CLOSES,
    *tool_call.RESULT_MARKERS,
    *("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "<|observation|>"),
)

GLM = Family(
    name="glm",
    opens=(OPENS,),
    read=tool_call.read,
    write=write,
    grammar=grammar,
    is_template=is_template,
    markers=_MARKERS,
)
GLM_COMPACT = Family(
    name="glm-4.7",
    opens=(OPENS,),
    read=tool_call.read,
    write=write_compact,
    grammar=grammar_compact,
    is_template=is_template_compact,
    markers=_MARKERS,
)
