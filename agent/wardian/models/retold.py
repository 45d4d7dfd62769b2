"""A request told in words, and the calls found in what a model answers."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol, cast

from wardian.errors import ConfigurationError
from wardian.models.call_style import CallStyle
from wardian.models.calling import ReplyParser
from wardian.models.families import HERMES, WrittenCall
from wardian.models.families.hermes import HERMES_HOW, TOOLS_TEXT
from wardian.models.fenced import FencedParser
from wardian.models.wire import tool_as_json
from wardian.types import (
    CallDelta,
    Delta,
    Finish,
    Message,
    Model,
    ReasoningDelta,
    Reply,
    Request,
    Role,
    TextDelta,
    ToolSpec,
)
from wardian_tools.types import ToolCall

CODE_TOOL = "python"
CODE_TEXT = """# Acting

You act by writing Python. To do something, write one block:
```python
print(6 * 7)
```
It is run, and what it prints, or its error, comes back to you. Variables stay for the next block. \
Write one block at a time and wait for its result. When the task is done, answer in plain text \
without a block."""


class Parser(Protocol):
    """Finds calls in a reply."""

    calls: list[ToolCall]

    @property
    def text(self) -> str: ...

    @property
    def reasoning(self) -> str: ...

    def feed(self, text: str) -> list[Delta]: ...

    def finish(self) -> list[Delta]: ...


async def in_words(
    model: Model, request: Request, style: CallStyle
) -> AsyncGenerator[Delta | Reply]:
    """As the model's, with calls told and read as `style` has it.

    Raises: ModelError, ConfigurationError.
    """
    is_code = style is CallStyle.CODE
    told = in_code(request) if is_code else in_text(request)
    first = 1 + sum(len(message.calls) for message in request.messages)
    schemas = {tool.name: tool.parameters for tool in request.tools}
    parser: Parser = (
        FencedParser(CODE_TOOL, first_call=first)
        if is_code
        else ReplyParser(schemas, first_call=first)
    )
    async with aclosing(model.stream(told)) as parts:
        async for part in parts:
            match part:
                case TextDelta(text=text):
                    for delta in parser.feed(text):
                        yield delta
                case ReasoningDelta() | CallDelta():
                    yield part
                case Reply():
                    for delta in parser.finish():
                        yield delta
                    yield _with_calls(part, parser)


def _with_calls(reply: Reply, parser: Parser) -> Reply:
    finish = Finish.CALLS if reply.finish is Finish.STOP and parser.calls else reply.finish
    reasoning = "\n".join(t for t in (reply.message.reasoning, parser.reasoning) if t)
    message = replace(
        reply.message,
        content=parser.text,
        reasoning=reasoning,
        calls=(*reply.message.calls, *parser.calls),
    )
    return replace(reply, message=message, finish=finish)


def in_text(request: Request) -> Request:
    """The request with its tools, calls and results in words."""
    if not request.tools and not any(m.calls for m in request.messages):
        return request
    tools = "\n".join(json.dumps(tool_as_json(t), ensure_ascii=False) for t in request.tools)
    told = TOOLS_TEXT.format(tools=tools, how=HERMES_HOW) if request.tools else ""
    return _retold(request, told, _call_in_text)


def in_code(request: Request) -> Request:
    """The request with its calls as blocks of Python. Raises: ConfigurationError."""
    if not any(tool.name == CODE_TOOL for tool in request.tools):
        raise ConfigurationError(
            f"The code style runs its blocks with the tool {CODE_TOOL!r}, which is not offered.",
            "Offer it, or use another call style.",
        )
    return _retold(request, CODE_TEXT + _others(request.tools), _call_in_code)


def _others(tools: Sequence[ToolSpec]) -> str:
    names = sorted(tool.name for tool in tools if tool.name != CODE_TOOL)
    return f" There are no functions called {', '.join(names)}: use Python." if names else ""


def _retold(request: Request, told: str, write: Callable[[ToolCall], str]) -> Request:
    messages: list[Message] = []
    for message in request.messages:
        if message.role is Role.ASSISTANT and message.calls:
            written = "\n".join(write(call) for call in message.calls)
            content = f"{message.content}\n{written}" if message.content else written
            messages.append(Message(role=Role.ASSISTANT, content=content))
        elif message.role is Role.TOOL:
            result = f"<tool_response>\n{message.content}\n</tool_response>"
            if messages and messages[-1].name == "results":
                result = f"{messages.pop().content}\n{result}"
            messages.append(Message(role=Role.USER, content=result, name="results"))
        else:
            messages.append(message)
    if told and messages and messages[0].role is Role.SYSTEM:
        messages[0] = replace(messages[0], content=f"{messages[0].content}\n\n{told}")
    elif told:
        messages.insert(0, Message(role=Role.SYSTEM, content=told))
    return replace(request, messages=tuple(messages), tools=(), calls_in_text=bool(request.tools))


def _call_in_text(call: ToolCall) -> str:
    return HERMES.write([WrittenCall(name=call.name, arguments={}, json=call.arguments_text)])


def _call_in_code(call: ToolCall) -> str:
    try:
        arguments: Any = json.loads(call.arguments_text)
    except (ValueError, RecursionError):
        return call.arguments_text
    given = cast("dict[str, object]", arguments) if isinstance(arguments, dict) else {}
    code = given.get("code")
    return f"```python\n{code}\n```" if isinstance(code, str) else _call_in_text(call)
