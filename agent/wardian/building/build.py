"""An agent writes a tool: it works in a scratch folder until its files pass our checks.

What it may do there is what the policy lets it; what it leaves behind is two files of text, which
are checked in fresh boxes and shown to a person before anything else becomes of them.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wardian.agent import Agent
from wardian.budget import NOTHING
from wardian.building.checking import Draft, Report, check
from wardian.building.describe import Description, NotATool
from wardian.building.running import Open
from wardian.building.store import SOURCE, TESTS, read_draft
from wardian.errors import WardianError
from wardian.events import Event
from wardian.results import RunResult
from wardian.types import Message
from wardian_sandbox.types import Confinement

MAX_ATTEMPTS = 3
TOOLS = ("edit_file", "list_files", "python", "read_file", "shell", "write_file")
INSTRUCTIONS = """\
You write one tool: a Python function that others will call, with tests. Your working folder is
empty and yours alone. Leave exactly two files there:

tool.py
    from wardian import tool

    @tool(effects=())
    def slugify(title: str, separator: str = "-") -> str:
        \"\"\"Turn a title into a URL slug.

        Args:
            title: The title.
            separator: What stands between words.
        \"\"\"
        ...

test_tool.py
    from tool import slugify

    def test_spaces_become_separators():
        assert slugify("Two words") == "two-words"

Rules, which are checked:
- One function with @tool, not async. Every parameter and the result has a type: str, int, float,
  bool, list[...], dict[str, ...], Literal[...], or one of them | None. The docstring says what it
  does, and what each parameter is.
- effects is () for a tool that only computes; {"reads"} if it reads files of the workspace;
  {"writes"} if it changes them. Paths are relative to the working folder. No network, no programs.
- Deterministic: no clock, no chance, nothing that depends on the order of a set.
- Python's standard library only. A wrong argument raises ValueError with a clear message.
- Tests are functions named test_..., with plain assert; they call the tool, edge cases included.
  A test that needs files writes them first.
Run the tests yourself before you answer. Then answer in one sentence."""


class NotBuilt(WardianError):
    """The agent did not come to a tool that passes the checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A tool that passes the checks, and waits for a person's yes."""

    draft: Draft
    description: Description
    report: Report
    run_id: str


async def build(
    task: str,
    agent: Agent[Any],
    opened: Open,
    within: Confinement,
    *,
    taken: Collection[str],
    say: Callable[[str], None],
    follow: Callable[[Event], None],
) -> Candidate:
    """Have `agent`, whose workspace is a scratch folder, write the tool.

    `taken` are names it may not have; `follow` is told what happens.
    Raises: NotBuilt; as `Agent.run`.
    """
    asked, earlier, spent = f"Write this tool: {task}", tuple[Message, ...](), NOTHING
    problem = ""
    # The scratch folder is gone afterwards; the runs are kept as any other.
    for attempt in range(MAX_ATTEMPTS):
        beginning = agent.beginning(asked, earlier=earlier, spent=spent)
        run = await agent.perform(replace(beginning, listener=follow))
        if not run.ok:
            raise NotBuilt(f"No tool was built: {run.error or run.stop}", remedy(run))
        try:
            return await candidate(agent.workspace, opened, within, taken, run.run_id)
        except NotATool as error:
            problem = str(error)
        say(f"attempt {attempt + 1} of {MAX_ATTEMPTS}: {problem.splitlines()[0]}")
        asked = f"The files do not pass the checks. Mend them.\n\n{problem}"
        earlier, spent = run.messages, run.spent
    raise NotBuilt(
        f"No tool was built: {problem}", "Say more exactly what it should do, or choose another -m."
    )


def remedy(run: RunResult[Any]) -> str:
    where = f" (`agent runs show {run.run_id}`)" if run.path else ""
    return f"Look at what it did{where}, or choose another model with -m."


async def candidate(
    folder: Path, opened: Open, within: Confinement, taken: Collection[str], run_id: str
) -> Candidate:
    """What lies in the folder, checked. Raises: NotATool, SandboxError."""
    draft = read_draft(folder)
    if draft is None:
        raise NotATool(f"The working folder must hold {SOURCE} and {TESTS}.")
    description = draft.described()
    if description.name in taken:
        raise NotATool(f"{description.name!r} is the name of another tool. Choose another.")
    report = await check(draft, opened, within)
    return Candidate(draft=draft, description=description, report=report, run_id=run_id)
