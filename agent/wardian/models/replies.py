"""What scripted models may be told to answer, and how an answer is streamed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wardian.types import (
    CallDelta,
    Delta,
    Finish,
    Message,
    ReasoningDelta,
    Reply,
    Role,
    TextDelta,
    Usage,
)
from wardian_tools.types import ToolCall

ScriptedCall = tuple[str, Mapping[str, Any] | str] | ToolCall
"""`("python", {"code": "1+1"})`; arguments as text are passed on as they are, however broken."""

Answer = str | Reply | Sequence[ScriptedCall] | BaseException
"""Text, a whole reply, tool calls, or an exception to raise."""


def make_reply(answer: str | Reply | Sequence[ScriptedCall], *, model: str, step: int) -> Reply:
    """`answer` as a reply. Calls without an id get `call_<step>_<place>`.

    Raises: TypeError, when `answer` is none of the kinds `Answer` names.
    """
    if isinstance(answer, Reply):
        return answer if answer.model else replace(answer, model=model)
    if isinstance(answer, str):
        message = Message(role=Role.ASSISTANT, content=answer)
        return Reply(message=message, finish=Finish.STOP, usage=_usage(answer), model=model)
    try:
        calls = tuple(_make_call(call, f"call_{step}_{i}") for i, call in enumerate(answer))
    except (TypeError, ValueError) as e:
        raise TypeError(
            "A scripted answer is text, a Reply, an exception, or a list of calls such as"
            f' [("python", {{"code": "1+1"}})]; got {answer!r}.'
        ) from e
    message = Message(role=Role.ASSISTANT, content="", calls=calls)
    written = "".join(call.arguments_text for call in calls)
    return Reply(message=message, finish=Finish.CALLS, usage=_usage(written), model=model)


def _make_call(call: ScriptedCall, call_id: str) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    name, arguments = call
    text = arguments if isinstance(arguments, str) else json.dumps(dict(arguments))
    return ToolCall(id=call_id, name=name, arguments_text=text)


def _usage(written: str) -> Usage:
    """A stand-in that is never zero, so that budgets have something to count."""
    return Usage(prompt_tokens=1, completion_tokens=1 + len(written) // 4)


def pieces_of(reply: Reply, *, chunk_chars: int) -> Iterator[Delta | Reply]:
    """The reply in pieces of `chunk_chars` characters, then itself."""
    message = reply.message
    for piece in _pieces(message.reasoning, chunk_chars):
        yield ReasoningDelta(text=piece)
    for piece in _pieces(message.content, chunk_chars):
        yield TextDelta(text=piece)
    for index, call in enumerate(message.calls):
        yield CallDelta(index=index, id=call.id, name=call.name)
        for piece in _pieces(call.arguments_text, chunk_chars):
            yield CallDelta(index=index, arguments_text=piece)
    yield reply


def _pieces(text: str, size: int) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]
