"""`@tool`: a typed function becomes something a model can call."""

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterable
from inspect import Parameter
from typing import Any, overload

from wardian_tools.docstrings import read_docstring
from wardian_tools.errors import ToolDefinitionError
from wardian_tools.schema import ArgumentSchema, argument_schema
from wardian_tools.types import Effect, Output, Tool, ToolContext

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    effects: Iterable[Effect] = ...,
    idempotent: bool = False,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    effects: Iterable[Effect] = (Effect.EXECUTES,),
    idempotent: bool = False,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a typed function, sync or async.

    The name, the description and the parameters' texts come from the function and its docstring
    (Google style `Args:`). A parameter annotated `ToolContext` is filled in by the runtime. The
    function returns text, an `Output`, or any JSON value, dataclass or pydantic model; what it
    raises becomes an error result. A sync function runs in a thread, and runs on there to its end
    if the call is cancelled.

    A function that declares no effects is taken to execute code: it runs alone and is never
    repeated by itself. Declare `effects={Effect.READS}` for one that only looks.

    Raises: ToolDefinitionError.
    """

    def define(function: Callable[..., Any]) -> Tool:
        return _define(function, name, description, frozenset(effects), idempotent)

    return define if function is None else define(function)


def _define(
    function: Callable[..., Any],
    name: str | None,
    description: str | None,
    effects: frozenset[Effect],
    idempotent: bool,
) -> Tool:
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        raise ToolDefinitionError(
            f"@tool takes a function, not {type(function).__name__}. Wrap it in a function."
        )
    name = name or function.__name__
    if not _NAME.fullmatch(name):
        raise ToolDefinitionError(
            f"'{name}' cannot be a tool's name: it must be 1 to 64 of a-z A-Z 0-9 _ - and not "
            'begin with a digit. Give one with @tool(name="…").'
        )
    documentation = read_docstring(function)
    hints = _annotations(function, name)
    parameters, injected = _parameters(function, name, hints)
    try:
        arguments = argument_schema(parameters, hints, documentation.parameters)
    except ToolDefinitionError as error:
        raise ToolDefinitionError(f"Tool '{name}': {error}") from error
    return Tool(
        name=name,
        description=documentation.description if description is None else description,
        parameters=arguments.parameters,
        effects=effects,
        idempotent=idempotent,
        validate=arguments.validate,
        function=_runner(function, arguments, injected),
        uses_sandbox=bool(injected),
    )


def _annotations(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ToolDefinitionError(
            f"Tool '{name}' has an annotation that cannot be resolved: {error}. "
            "Define the type at module level, above the tool."
        ) from error


def _parameters(
    function: Callable[..., Any], name: str, hints: dict[str, Any]
) -> tuple[list[Parameter], list[str]]:
    """The parameters the model fills, and the names of those the runtime fills."""
    shown: list[Parameter] = []
    injected: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in _NAMED:
            raise ToolDefinitionError(
                f"Tool '{name}': parameter '{parameter.name}' has no fixed name to call it by. "
                "Replace *args, **kwargs and positional-only parameters by named ones."
            )
        if parameter.name not in hints:
            raise ToolDefinitionError(
                f"Tool '{name}': parameter '{parameter.name}' has no type. Annotate it."
            )
        if hints[parameter.name] is ToolContext:
            injected.append(parameter.name)
        else:
            shown.append(parameter)
    return shown, injected


def _runner(
    function: Callable[..., Any], schema: ArgumentSchema, injected: list[str]
) -> Callable[..., Awaitable[Output]]:
    is_async = inspect.iscoroutinefunction(function)

    async def run(context: ToolContext, /, **arguments: object) -> Output:
        values = schema.convert(arguments) | dict.fromkeys(injected, context)
        if is_async:
            return as_output(await function(**values))
        import asyncio  # 30 ms, not paid by whoever only lists tools

        value = await asyncio.to_thread(_in_thread, function, values)
        # A decorated async function may look like a sync one.
        return as_output(await value if inspect.isawaitable(value) else value)

    return run


def _in_thread(function: Callable[..., Any], values: dict[str, Any]) -> object:
    try:
        return function(**values)
    except StopIteration as error:  # asyncio cannot carry it out of a thread: it would wait forever
        raise RuntimeError("the tool raised StopIteration") from error


def as_output(value: object) -> Output:
    """What a tool function returned, as an `Output`: text as it is, anything else as JSON."""
    if isinstance(value, Output):
        return value
    if value is None:
        return Output(content="(no output)")
    if isinstance(value, str):
        return Output(content=value)
    from pydantic_core import to_json

    return Output(content=to_json(value, inf_nan_mode="strings").decode())
