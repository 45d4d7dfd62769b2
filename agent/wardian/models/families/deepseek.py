"""DeepSeek. V3.1 writes a name and JSON; V3 and R1 put `function` before and a fence around it.

V3.2 gives each parameter a tag that says whether it is text. Source: the chat templates of
DeepSeek-V3, -V3.1 and -V3.2.
"""

import json
from collections.abc import Sequence
from typing import Any

from wardian.models.families.family import Family, Heard, Reading, Schemas, Terminals, WrittenCall
from wardian.models.families.named import named_rules, read_arguments
from wardian.models.families.source import Source
from wardian.models.families.tagged import tagged_rules, value_of
from wardian.models.families.tool_call import as_text

CALLS, CALLS_CLOSE = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"  # noqa: RUF001  their letters
CALL, CALL_CLOSES = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"  # noqa: RUF001
SEPARATOR = "<｜tool▁sep｜>"  # noqa: RUF001
OUTPUTS = tuple(
    f"<｜tool▁output{s}▁{place}｜>"  # noqa: RUF001
    for s in ("", "s")
    for place in ("begin", "end")
)
TAG = "｜DSML｜"  # noqa: RUF001
INVOKE, INVOKE_CLOSES = f'<{TAG}invoke name="', f"</{TAG}invoke>"
PARAMETER, PARAMETER_CLOSES = f'<{TAG}parameter name="', f"</{TAG}parameter>"
SECTION, SECTION_CLOSES = f"<{TAG}function_calls>", f"</{TAG}function_calls>"


def read_json(source: Source, heard: Heard, opened: str) -> Reading:
    """After the section's or a call's beginning."""
    if opened == CALL:
        yield from _read_call(source, heard)
    while True:
        yield from source.blanks()
        if (yield from source.begins(CALL, CALLS_CLOSE)) != CALL:
            return
        yield from _read_call(source, heard)


def _read_call(source: Source, heard: Heard) -> Reading:
    name, found = yield from source.text_up_to(SEPARATOR, CALL_CLOSES, CALLS_CLOSE)
    if found != SEPARATOR:
        heard.end_call("", name.strip())
        return
    if name.strip() == "function":
        name, _ = yield from source.text_up_to("\n")
        yield from source.blanks()
        yield from source.begins("```json", "```")
    yield from read_arguments(source, heard, name.strip(), CALL_CLOSES, CALLS_CLOSE)


def write_json(calls: Sequence[WrittenCall]) -> str:
    written = "".join(f"{CALL}{c.name}{SEPARATOR}{c.json}{CALL_CLOSES}" for c in calls)
    return f"{CALLS}{written}{CALLS_CLOSE}"


def grammar_json(schemas: Schemas, terminals: Terminals) -> str:
    opens, closes, end = map(terminals.literal, (CALL, CALL_CLOSES, CALLS_CLOSE))
    rules = named_rules(schemas, terminals, between=terminals.literal(SEPARATOR))
    return f"body: ({opens} named_call {closes})+ {end}\n{rules}"


def write_fenced(calls: Sequence[WrittenCall]) -> str:
    written = "\n".join(
        f"{CALL}function{SEPARATOR}{c.name}\n```json\n{c.json}\n```{CALL_CLOSES}" for c in calls
    )
    return f"{CALLS}{written}{CALLS_CLOSE}"


def grammar_fenced(schemas: Schemas, terminals: Terminals) -> str:
    opens, closes, end = map(terminals.literal, (CALL, CALL_CLOSES, CALLS_CLOSE))
    rules = named_rules(schemas, terminals, between='"\\n```json\\n"')
    head = f'{opens} "function" {terminals.literal(SEPARATOR)}'
    each = f'{head} named_call "\\n```" {closes}'
    return f'body: {each} ("\\n"? {each})* {end}\n{rules}'


def read_tagged(source: Source, heard: Heard, opened: str) -> Reading:
    """After `<｜DSML｜function_calls>`."""  # noqa: RUF002
    while True:
        yield from source.blanks()
        if (yield from source.begins(INVOKE, SECTION_CLOSES)) != INVOKE:
            return
        yield from _read_invoke(source, heard)


def _read_invoke(source: Source, heard: Heard) -> Reading:
    name, _ = yield from source.text_up_to('">')
    written, values = [INVOKE, name, '">'], dict[str, Any]()
    while True:
        before, found = yield from source.text_up_to(PARAMETER, INVOKE_CLOSES)
        written += (before, found)
        if found != PARAMETER:
            break
        head, _ = yield from source.text_up_to(">")
        text, closed = yield from source.text_up_to(PARAMETER_CLOSES)
        written += (head, ">", text, closed)
        key, _, kind = head.partition('"')
        values[key] = text if 'string="true"' in kind else value_of(text, None, {})
    arguments = json.dumps(values, ensure_ascii=False)
    heard.end_call(name, arguments if found else "".join(written))


def write_tagged(calls: Sequence[WrittenCall]) -> str:
    return f"{SECTION}\n" + "".join(_invoke(call) for call in calls) + SECTION_CLOSES


def _invoke(call: WrittenCall) -> str:
    parameters = "".join(
        f'{PARAMETER}{key}" string="{str(isinstance(value, str)).lower()}">'
        f"{as_text(value)}{PARAMETER_CLOSES}\n"
        for key, value in call.arguments.items()
    )
    return f'{INVOKE}{call.name}">\n{parameters}{INVOKE_CLOSES}\n'


def grammar_tagged(schemas: Schemas, terminals: Terminals) -> str:
    rules = tagged_rules(
        schemas,
        terminals,
        head=INVOKE + '{name}">\n',
        opens=PARAMETER + '{name}" string="{string}">',
        closes=PARAMETER_CLOSES,
        gap="\n",
        tail=INVOKE_CLOSES,
    )
    return f'body: "\\n" (tagged_call "\\n")+ {terminals.literal(SECTION_CLOSES)}\n{rules}'


def is_template_json(source: str) -> bool:
    return CALL in source and not is_template_fenced(source)


def is_template_fenced(source: str) -> bool:
    return CALL in source and "```json" in source


def is_template_tagged(source: str) -> bool:
    return TAG in source and "function_calls" in source


_MARKERS = (CALLS_CLOSE, CALL_CLOSES, SEPARATOR, *OUTPUTS)

DEEPSEEK = Family(
    name="deepseek",
    opens=(CALLS, CALL),
    read=read_json,
    write=write_json,
    grammar=grammar_json,
    is_template=is_template_json,
    markers=_MARKERS,
)
DEEPSEEK_FENCED = Family(
    name="deepseek-v3",
    opens=(CALLS, CALL),
    read=read_json,
    write=write_fenced,
    grammar=grammar_fenced,
    is_template=is_template_fenced,
    markers=_MARKERS,
)
DEEPSEEK_TAGGED = Family(
    name="deepseek-v3.2",
    opens=(SECTION,),
    read=read_tagged,
    write=write_tagged,
    grammar=grammar_tagged,
    is_template=is_template_tagged,
    markers=(TAG, SECTION_CLOSES, INVOKE_CLOSES, PARAMETER_CLOSES),
)
