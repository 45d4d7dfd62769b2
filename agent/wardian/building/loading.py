"""Built tools as tools of a run: read and checked against their hashes when the run begins, and
again at each call."""

from functools import partial
from pathlib import Path
from typing import Any

from wardian.building.running import run_built
from wardian.building.store import BuiltTools
from wardian.errors import ConfigurationError
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Confinement
from wardian_tools import Output, ResultStatus, Tool, ToolContext


def load_built(store: BuiltTools) -> tuple[list[Tool], list[str]]:
    """The current version of each, and a notice for each that is refused.

    Raises: ConfigurationError when the list of them cannot be read.
    """
    tools: list[Tool] = []
    notices: list[str] = []
    for built in store.all():
        try:
            _, description = store.read(built.name)
            run = partial(in_run, store, built.name, built.current)
            tools.append(description.as_tool(run))
        except ConfigurationError as error:
            notices.append(str(error))
    return tools, notices


async def in_run(
    store: BuiltTools, name: str, number: int, context: ToolContext, arguments: dict[str, Any]
) -> Output:
    """One call in a run, in a box beside the run's own. Raises: SandboxError."""
    box = context.sandbox
    if not isinstance(box, SupervisedSandbox):
        raise SandboxError("A built tool needs a sandbox.", "Run it in one.")
    try:
        draft, description = store.read(name, number)
    except ConfigurationError as error:
        return Output(content=str(error), status=ResultStatus.ERROR)
    is_copy = box.identity.detail.get("workspace") == "copy"

    async def opened(folder: Path | None, within: Confinement) -> SupervisedSandbox:
        mode = "copy" if is_copy and folder is None else "mount"
        return await box.fresh(folder, mode=mode, within=within)

    return await run_built(
        name, draft.source, description.effects, arguments, opened, context.within
    )
