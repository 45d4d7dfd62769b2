"""gpt-oss: messages with a header each; the channel says what they are, `to=` where they go.

`<|channel|>analysis<|message|>…<|end|><|start|>assistant to=functions.NAME<|channel|>commentary
json<|message|>{…}<|call|>`. Source: OpenAI's description of the harmony response format.
"""

import re
from collections.abc import Sequence

from wardian.models.families.family import Family, Heard, Reading, Schemas, Terminals, WrittenCall
from wardian.models.families.named import named_rules, read_arguments
from wardian.models.families.source import Source

START, CHANNEL, MESSAGE = "<|start|>", "<|channel|>", "<|message|>"
END, CALL, RETURN, CONSTRAIN = "<|end|>", "<|call|>", "<|return|>", "<|constrain|>"
RECIPIENT = " to=functions."
_TO = re.compile(r"to=functions\.([^\s<]+)")
_CLOSES = (END, CALL, RETURN, START)


def read_reply(source: Source, heard: Heard, thinking: bool) -> Reading:
    """Message by message: analysis is reasoning, commentary to a tool is a call, else text."""
    while source.pending or not source.is_over:
        start = yield from source.begins(CHANNEL, START, RECIPIENT, *_CLOSES)
        if not start and source.pending:
            yield from source.up_to(*_CLOSES, CHANNEL, passing=heard.say)
        elif start in (CHANNEL, RECIPIENT, START):
            yield from _read_message(source, heard, start)
        elif not source.pending and not source.is_over:
            yield


def _read_message(source: Source, heard: Heard, start: str) -> Reading:
    head, found = yield from source.text_up_to(MESSAGE, CALL, END)
    head = start + head
    recipient = _TO.search(head)
    if recipient and recipient[1] in heard.schemas:
        if found == MESSAGE:
            yield from read_arguments(source, heard, recipient[1], CALL, END, START)
        else:
            heard.end_call(recipient[1], "")
        return
    if recipient:
        body, _ = yield from source.text_up_to(*_CLOSES)
        heard.end_call(recipient[1], body.strip())
    elif found == MESSAGE:
        passing = heard.reason if f"{CHANNEL}analysis" in head else heard.say
        passing("\n\n")  # between messages; at the beginning it is passed over
        yield from source.up_to(*_CLOSES, passing=passing)


def read(source: Source, heard: Heard, opened: str) -> Reading:
    """After ` to=functions.`, where something else reads the reply."""
    yield from _read_message(source, heard, RECIPIENT)


def write(calls: Sequence[WrittenCall]) -> str:
    return START.join(
        f"{'assistant' if i else ''}{RECIPIENT}{c.name}{CHANNEL}commentary json{MESSAGE}{c.json}"
        f"{CALL}"
        for i, c in enumerate(calls)
    )


def grammar(schemas: Schemas, terminals: Terminals) -> str:
    """After ` to=functions.`, whichever of the two orders of recipient and channel was chosen."""
    channel, constrain, message, call = map(terminals.literal, (CHANNEL, CONSTRAIN, MESSAGE, CALL))
    kind = f'(" json" | " "? {constrain} "json")?'
    between = f'({channel} "commentary")? {kind} {message}'
    rules = named_rules(schemas, terminals, between=between)
    return f"body: named_call {call}?\n{rules}"


def is_template(source: str) -> bool:
    return CHANNEL in source and "functions." in source and MESSAGE in source


HARMONY = Family(
    name="harmony",
    opens=(RECIPIENT,),
    read=read,
    write=write,
    grammar=grammar,
    is_template=is_template,
    read_reply=read_reply,
    call_opens=f"{CHANNEL}commentary",
    answer_opens=f"{CHANNEL}final{MESSAGE}",
    resumes=f"{START}assistant",
    reasoning=((f"{CHANNEL}analysis{MESSAGE}", END),),
    markers=(START, CHANNEL, MESSAGE, END, CALL, RETURN, CONSTRAIN),
    is_bare=False,
)
