"""Running one call: its limits, its result's bounds, and what becomes of an exception."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, cast

from wardian_sandbox.errors import SandboxError
from wardian_tools.types import Output, ResultStatus, Tool, ToolCall, ToolContext, ToolResult

MAX_ARGUMENT_CHARS = 1_000_000
"""Arguments longer than this are refused unparsed."""
MAX_DEPTH = 64
"""Nesting of arrays and objects in arguments."""
MAX_CALLS_PER_REPLY = 32
"""Calls in one reply; a larger batch is discarded whole."""
MAX_RESULT_CHARS = 24_000
"""Characters of a result the model sees; the middle of the rest is left out and said so."""
MAX_EXCEPTION_CHARS = 1_000
"""Characters kept of the message of an exception a tool raised."""


def canonical_json(value: object) -> str:
    """One text for equal values: sorted keys, no spaces. Raises: ValueError, TypeError."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def bounded(text: str, limit: int = MAX_RESULT_CHARS) -> str:
    """`text`, at most `limit` characters: its head and tail, and a line counting the rest."""
    if len(text) <= limit:
        return text
    kept = limit - len(_left_out(len(text)))
    head, tail = text[: kept - kept // 3], text[len(text) - kept // 3 :]
    return head + _left_out(len(text) - kept) + tail


def _left_out(count: int) -> str:
    return f"\n[{count} characters left out]\n"


async def run_call(tool: Tool, call: ToolCall, context: ToolContext) -> ToolResult:
    """Run a parsed call. A call with a problem is answered with it and does not run.

    What the tool raises becomes an ERROR result. Raises: SandboxError when the sandbox failed
    under the tool, CancelledError when the caller cancelled.
    """
    began = time.monotonic()
    if call.problem is not None or call.arguments is None:
        problem = call.problem or "This call was not understood."
        output = Output(content=problem, status=ResultStatus.MALFORMED)
    else:
        output = _presentable(tool.name, await _call(tool, context, call.arguments))
    return ToolResult(
        call_id=call.id,
        name=call.name,
        status=output.status,
        content=bounded(output.content),
        integrity=output.integrity,
        confidentiality=output.confidentiality,
        data=output.data,
        seconds=time.monotonic() - began,
    )


async def _call(tool: Tool, context: ToolContext, arguments: dict[str, Any]) -> Output:
    import asyncio  # 30 ms, not paid by whoever only lists tools

    try:
        return await tool.function(context, **arguments)
    except SandboxError:
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return _failed("the tool's own work was cancelled")
    except (Exception, SystemExit) as error:
        for leaf in _leaves(error):
            if isinstance(leaf, SandboxError):
                raise leaf from error
        return _failed("; ".join(map(_describe, islice(_leaves(error), 3))))


def _failed(message: str) -> Output:
    return Output(content=message, status=ResultStatus.ERROR, data={"code": "exception"})


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _describe(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - the tool author's __str__ is as untrusted as the tool
        message = ""
    kind = type(error).__name__
    return f"{kind}: {bounded(message, MAX_EXCEPTION_CHARS)}" if message else kind


def _presentable(name: str, output: Output) -> Output:
    """`output` in a form every reader can store: its data JSON, its text encodable."""
    try:
        canonical_json(output.data).encode()
    except (ValueError, TypeError, RecursionError) as error:
        return _failed(f"{name} returned data that is not JSON: {_describe(error)}")
    try:
        output.content.encode()
    except UnicodeEncodeError:
        return replace(output, content=output.content.encode(errors="replace").decode())
    return output
