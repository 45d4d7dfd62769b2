"""`python` and `shell`: code a model writes, run inside the sandbox."""

import base64
from dataclasses import asdict, replace
from typing import Annotated, Any

from wardian_sandbox.limits import said
from wardian_sandbox.types import Artefact, Confinement, Ending, ExecResult, FileReference, Limit
from wardian_tools.bounds import Between
from wardian_tools.types import Output, ResultStatus, ToolContext

MAX_TIMEOUT_SECONDS = 3600
NO_OUTPUT = "(no output)"
Timeout = Annotated[int, Between(1, MAX_TIMEOUT_SECONDS)]
LEFT_RUNNING = "[{} left running, ended with the call: start and use a program in one call]"
STATE_LOST = "[the interpreter was restarted: earlier variables are gone]"


async def python(context: ToolContext, code: str) -> Output:
    """Run Python code and return what it prints and the value of its last expression. Variables
    and imports are kept between calls. The working directory is the workspace.

    Args:
        code: Python source, one or more lines.
    """
    result = await context.sandbox.python(code, context.within)
    lines = [result.output.removesuffix("\n")]
    if result.value is not None:
        lines.append(result.value)
    if result.error is not None:
        lines.append(result.error.rstrip())
    lines += _ending(result, context.within)
    lines += [_named(figure.reference) for figure in result.figures]
    if result.left_running:
        count = result.left_running
        lines.append(LEFT_RUNNING.format(f"{count} processes" if count > 1 else "a process"))
    if result.state_lost:
        lines.append(STATE_LOST)
    claims: dict[str, Any] = {"value": result.value}
    if result.data is not None and not isinstance(result.data, str | int | float):
        claims["json"] = result.data
    if result.figures:
        claims["figures"] = [_as_json(figure) for figure in result.figures]
    return Output(
        content="\n".join(filter(None, lines)) or NO_OUTPUT,
        status=_status(result),
        data=_facts(result) | {"state_lost": result.state_lost} | claims,
    )


async def shell(
    context: ToolContext, command: str, timeout_seconds: Timeout | None = None
) -> Output:
    """Run a shell command in the workspace and return its output (stdout and stderr).

    Args:
        command: A bash command line.
        timeout_seconds: Stop the command after this many seconds.
    """
    within = context.within if timeout_seconds is None else _at_most(context, timeout_seconds)
    result = await context.sandbox.shell(command, within)
    lines = [result.output.rstrip(), *_ending(result, within)]
    return Output(
        content="\n".join(filter(None, lines)) or NO_OUTPUT,
        status=_status(result),
        data=_facts(result),
    )


def _named(reference: FileReference) -> str:
    """What the model is told of a figure: that it is there."""
    return f"[{reference.path}: {reference.mime}, {reference.size_bytes:,} bytes]"


def _as_json(figure: Artefact) -> dict[str, Any]:
    """The figure for the record, which keeps long text as a blob beside it."""
    content = base64.b64encode(figure.content).decode()
    return asdict(figure.reference) | {"base64": content}


def _at_most(context: ToolContext, seconds: int) -> Confinement:
    limits = context.within.limits
    shorter = replace(limits, wall_seconds=min(limits.wall_seconds, seconds))
    return replace(context.within, limits=shorter)


def _ending(result: ExecResult, within: Confinement) -> list[str]:
    """The line that says how it ended, when that is not said by the output itself."""
    others = (limit for limit in result.limits_hit if limit is not Limit.WALL)
    hit = [f"[{said(limit, within.limits)}]" for limit in others]
    match result.ending:
        case Ending.TIMED_OUT:
            return [f"[stopped after {within.limits.wall_seconds:g} s: time limit]", *hit]
        case Ending.LIMITED:
            return ["[stopped]", *hit]
        case Ending.CANCELLED:
            return ["[cancelled]", *hit]
        case Ending.EXITED | Ending.SIGNALLED:
            told = result.exit_code == 0 or result.error is not None
            return hit if told else [f"[exit code {result.exit_code}]", *hit]


def _status(result: ExecResult) -> ResultStatus:
    match result.ending:
        case Ending.CANCELLED:
            return ResultStatus.CANCELLED
        case Ending.EXITED if result.exit_code == 0 and result.error is None:
            return ResultStatus.OK
        case _:
            return ResultStatus.ERROR


def _facts(result: ExecResult) -> dict[str, Any]:
    return {
        "ending": result.ending.value,
        "exit_code": result.exit_code,
        "dropped_bytes": result.dropped_bytes,
        "limits_hit": [limit.value for limit in result.limits_hit],
    }
