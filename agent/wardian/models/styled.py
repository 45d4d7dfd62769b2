"""Calling styles for models that take no tools: calls as JSON in the text, or as code.

`TEXT` describes the tools in the system message and reads `<tool_call>{…}</tool_call>` out of the
reply. `CODE` lets the model write Python in a ``` fence, which is run as a call of the tool
`python`; other tools are then out of its reach. `AUTO` speaks to the model in its own way until it
says that it takes no tools, and then in text.

Covers any model whose requests go over a wire. A GGUF file needs none of this: its template decides
(`template`). Does not cover: a code-style answer that shows Python without meaning it to be run.
"""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol, cast

from wardian.errors import ConfigurationError, ModelError
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
    Startable,
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
_NO_TOOLS = ("does not support tool", "tools are not supported", "tool use", "--jinja")
"""How Ollama, vLLM and llama-server say that a model takes no tools."""


class Parser(Protocol):
    """Finds calls in a reply."""

    calls: list[ToolCall]

    @property
    def text(self) -> str: ...

    @property
    def reasoning(self) -> str: ...

    def feed(self, text: str) -> list[Delta]: ...

    def finish(self) -> list[Delta]: ...


class StyledModel:
    """A model spoken to in a style of our own."""

    def __init__(self, model: Model, style: CallStyle) -> None:
        self._model = model
        self._style = style

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def is_local(self) -> bool:
        return self._model.is_local

    @property
    def identity(self) -> dict[str, Any]:
        return self._model.identity | {"call_style": self._style.value}

    async def start(self) -> None:
        if isinstance(self._model, Startable):
            await self._model.start()

    async def close(self) -> None:
        await self._model.close()

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        """As the wrapped model's. Raises: ModelError, ConfigurationError."""
        if self._style in (CallStyle.AUTO, CallStyle.NATIVE):
            begun = False
            try:
                async with aclosing(self._model.stream(request)) as parts:
                    async for part in parts:
                        begun = True
                        yield part
                return
            except ModelError as e:
                if begun or self._style is CallStyle.NATIVE or not _takes_no_tools(e, request):
                    raise
            self._style = CallStyle.TEXT
        async with aclosing(self._in_words(request)) as parts:
            async for part in parts:
                yield part

    async def _in_words(self, request: Request) -> AsyncGenerator[Delta | Reply]:
        is_code = self._style is CallStyle.CODE
        told = in_code(request) if is_code else in_text(request)
        first = 1 + sum(len(message.calls) for message in request.messages)
        schemas = {tool.name: tool.parameters for tool in request.tools}
        parser: Parser = (
            FencedParser(CODE_TOOL, first_call=first)
            if is_code
            else ReplyParser(schemas, first_call=first)
        )
        async with aclosing(self._model.stream(told)) as parts:
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


def _takes_no_tools(error: ModelError, request: Request) -> bool:
    said = str(error).lower()
    return bool(request.tools) and any(phrase in said for phrase in _NO_TOOLS)


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
    return replace(request, messages=tuple(messages), tools=())


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
