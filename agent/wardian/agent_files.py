"""Sub-agents written down as files: Markdown with front matter, the text being the prompt.

    ---
    name: reviewer
    description: Reads a change and lists what is wrong with it.
    tools: read_file, search_files      names of the caller's tools; all of them if left out
    model: ollama/qwen3:8b              the caller's if left out
    max_steps: 20                       and max_tool_calls, max_tokens, max_cost_usd, max_seconds
    parallel: true
    ---
    You review changes. …

Tools of files of a project are names too: a file defines no code.
"""

from pathlib import PurePosixPath
from typing import Any, cast

from wardian.documents import BadDocument, Document, Shelf, read_document, text_field
from wardian.settings.load import BUDGET_KEYS
from wardian.subagents import SubAgent
from wardian_policies.schema import Kind, nearest, positive, whole
from wardian_policies.types import Budgets

MAX_AGENTS = 50
MAX_DESCRIPTION_CHARS = 1024
KINDS: dict[str, Kind] = {
    "max_steps": whole(),
    "max_tool_calls": whole(),
    "max_tokens": whole(),
    "max_cost_usd": positive(),
    "max_seconds": positive(),
}
KEYS = ("name", "description", "tools", "model", "parallel", *KINDS)


def read_agent(shelf: Shelf, name: str, *, may_choose_model: bool = True) -> SubAgent:
    """The sub-agent a file describes. Raises: BadDocument."""
    document = read_document(shelf, name)
    fields = document.fields
    for key in fields:
        if key not in KEYS:
            raise BadDocument(f"{key!r} is not a known key. {nearest(key, KEYS)}")
    model = text_field(fields, "model", 200, needed=False)
    if model and not may_choose_model:
        raise BadDocument("a project's agent cannot choose a model")
    parallel = fields.get("parallel", False)
    if not isinstance(parallel, bool):
        raise BadDocument("its parallel is neither true nor false")
    return SubAgent(
        name=checked_name(fields, PurePosixPath(name).stem),
        description=text_field(fields, "description", MAX_DESCRIPTION_CHARS),
        instructions=document.text,
        tools=names(document),
        model=model or None,
        budgets=budgets(fields),
        parallel=parallel,
        source=str(shelf.root / name),
    )


def checked_name(fields: dict[str, Any], stem: str) -> str:
    name = text_field(fields, "name", 64, needed=False) or stem
    if not all(c.isascii() and (c.isalnum() or c in "_-") for c in name) or name[0].isdigit():
        raise BadDocument(f"its name {name!r} is not made of letters, digits, _ and -")
    return name


def names(document: Document) -> list[str] | None:
    """`tools`: a list, or names with commas between them."""
    written = document.fields.get("tools")
    if written is None:
        return None
    if isinstance(written, str):
        return [name.strip() for name in written.split(",") if name.strip()]
    if not isinstance(written, list) or not all(
        isinstance(name, str) for name in cast("list[object]", written)
    ):
        raise BadDocument("its tools are not a list of names")
    return cast("list[str]", written)


def budgets(fields: dict[str, Any]) -> Budgets:
    found: dict[str, Any] = {}
    for key, kind in KINDS.items():
        if key in fields:
            if not kind.accepts(fields[key]):
                raise BadDocument(f"its {key} is not {kind.description}")
            found[BUDGET_KEYS[key]] = fields[key]
    return Budgets(**{**dict.fromkeys(BUDGET_KEYS.values()), **found})


def find_agents(
    shelf: Shelf, below: str, *, may_choose_model: bool = True
) -> tuple[list[SubAgent], list[str]]:
    """The sub-agents in a folder of the shelf, and a notice for each file that is none."""
    found: dict[str, SubAgent] = {}
    notices: list[str] = []
    for file in [name for name in shelf.files(below) if name.endswith(".md")][:MAX_AGENTS]:
        try:
            one = read_agent(shelf, file, may_choose_model=may_choose_model)
            if one.name in found:
                raise BadDocument(f"{found[one.name].source} has the name {one.name!r} too")
        except BadDocument as problem:
            end = "" if str(problem).endswith((".", "?")) else "."
            notices.append(f"The agent in {shelf.root / file} is skipped: {problem}{end}")
        else:
            found[one.name] = one
    return list(found.values()), notices
