"""Running a built tool: in a fresh box of its own that grants what the tool declares.

Covers: no network; no file of the user's but the workspace, and that only for a tool that declares
to read it, read-only unless it declares to write; nothing left over from another call. The result
is what the code in the box says it is.
"""

import json
import secrets
import shlex
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from wardian_sandbox.errors import SandboxError
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Confinement, Egress, Ending, ExecResult, FileFailure
from wardian_tools import Effect, Output, ResultStatus

INSIDE = Path(__file__).parent / "inside"
PLACE = "tool"
"""Below the box's home"""
MAX_RESULT_CHARS = 24_000
MAX_ARGUMENT_CHARS = 100_000
"""Less than a command line may have. Source: Linux, MAX_ARG_STRLEN is 128 KiB"""
Open = Callable[[Path | None, Confinement], Awaitable[SupervisedSandbox]]
"""A folder, or None for the workspace, and a confinement → a box around it"""


@cache
def inside(name: str) -> bytes:
    return (INSIDE / f"{name}.py").read_bytes()


def narrowed(within: Confinement, effects: frozenset[Effect]) -> Confinement:
    """What a built tool gets of what its caller has: no network, and what it declares."""
    writable = within.writable if Effect.WRITES in effects else ()
    return replace(within, writable=writable, egress=Egress())


async def run_built(
    name: str,
    source: bytes,
    effects: frozenset[Effect],
    arguments: Mapping[str, Any],
    opened: Open,
    within: Confinement,
) -> Output:
    """One call of the tool. Raises: SandboxError."""
    text = json.dumps(arguments)
    if len(text) > MAX_ARGUMENT_CHARS:
        limit = f"The arguments are longer than {MAX_ARGUMENT_CHARS} characters."
        return Output(content=limit, status=ResultStatus.ERROR)
    files = {"tool.py": source, "call.py": inside("call")}
    within = narrowed(within, effects)
    async with AsyncExitStack() as stack:
        folder: Path | None = None
        if not effects:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wardian-tool-")))
        box = await opened(folder, within)
        stack.push_async_callback(box.close)
        told, result = await run_script(box, within, files, ["call.py"], [name, text], seed=0)
        if told is not None and "value" in told and Effect.WRITES in effects:
            await box.apply()
    return output(told, result)


def output(told: dict[str, Any] | None, result: ExecResult) -> Output:
    if told is None:
        why = "it was stopped" if result.ending is not Ending.EXITED else "it gave no result"
        said = result.output.strip()[-2000:]
        return Output(content=f"{why}. {said}".strip(), status=ResultStatus.ERROR)
    if "raised" in told:
        return Output(content=str(told["raised"]), status=ResultStatus.ERROR)
    value = told.get("value")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Output(content=text, data={"value": value} if len(text) <= MAX_RESULT_CHARS else {})


async def run_script(
    box: SupervisedSandbox,
    within: Confinement,
    files: Mapping[str, bytes],
    script: list[str],
    arguments: list[str],
    *,
    seed: int,
) -> tuple[dict[str, Any] | None, ExecResult]:
    """Run one of our scripts in the box, with the tool's files beside it; what it reports.

    `seed` is that of Python's hashes, so that the order of a set is the same in every call.
    Raises: SandboxError.
    """
    for name, content in {"wardian.py": inside("shim"), **files}.items():
        done = await box.put_at_home(f"{PLACE}/{name}", content)
        if isinstance(done, FileFailure):
            raise SandboxError(f"{name} could not be put into the sandbox: {done.message}.")
    marker = secrets.token_hex(16)
    words = [*script, marker, *arguments]
    command = f"PYTHONHASHSEED={seed} exec python3 -s -B ~/{PLACE}/{shlex.join(words)}"
    result = await box.shell(command, within)
    return reported(result.output, marker), result


def reported(output: str, marker: str) -> dict[str, Any] | None:
    """The JSON object after the marker; None without one."""
    _, found, rest = output.rpartition(marker)
    if not found:
        return None
    try:
        told: object = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", told) if isinstance(told, dict) else None
