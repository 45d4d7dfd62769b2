"""What a run on the command line has beside the usual tools: skills, sub-agents, a plan.

Without files of that kind this is a few looks at the disk.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardian.extras import Extras
from wardian.settings import Paths, paths
from wardian.settings.trust import Workspace, workspace_of
from wardian.skills import SKILL
from wardian.subagents import SubAgent
from wardian_policies.schema import nearest
from wardian_tools import Tool, load_entry_points, own_tools
from wardian_tools.builtin import talking_tools

ASKING = "ask_user"
INDEX = "index.json"
SERVER_SEPARATOR = "__"
"""In the names of tools that servers offer"""
BUILT_IN = "tiny"
"""The model that knows the built-in tools and no others"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """What is added, and which of the named tools are still to be found elsewhere."""

    extras: Extras
    tools: tuple[Tool, ...]
    names: Sequence[str] | None
    notices: tuple[str, ...]


def additions(
    workspace: Path, model: str | None, names: Sequence[str] | None, *, may_ask: bool
) -> Additions:
    """What this user's folder and this workspace add. Raises: ConfigurationError."""
    places = paths(os.environ)
    extras = found_extras(places, workspace_of(workspace, os.environ)).limited_to(names)
    built, notices = built_tools(places)
    taken = {SKILL, *(one.name for one in built)} if extras.subagents else set[str]()
    extras = extras.without({*taken, *(one.name for one in own_tools())} if taken else taken)
    notices += strange_tools(extras.subagents, {SKILL, *(one.name for one in built)})
    if names is None:
        talking = () if model in (None, BUILT_IN) else talking_tools()
        more = [*built, *(one for one in talking if may_ask or one.name != ASKING)]
    else:
        more = [one for one in built if one.name in names]
        added = {*(one.name for one in more), *(one.name for one in extras.subagents)}
        added |= {SKILL} if extras.skills else set()
        names = [name for name in names if name not in added]
    notices = [*extras.notices, *notices]
    return Additions(extras=extras, tools=tuple(more), names=names, notices=tuple(notices))


def strange_tools(subagents: Sequence[SubAgent], more: Collection[str]) -> list[str]:
    """A sentence on each tool that a sub-agent's file names and nobody has; a server's may come."""
    named = [(one, name) for one in subagents for name in one.tools or () if isinstance(name, str)]
    known = {*more, *(tool.name for tool in own_tools())} if named else set[str]()
    if not all(name in known or SERVER_SEPARATOR in name for _, name in named):
        known |= {tool.name for tool in load_entry_points().tools}
    return [
        f"The agent in {one.source} names the tool {name!r}, which is not here."
        f" {nearest(name, sorted(known))}".rstrip()
        for one, name in named
        if name not in known and SERVER_SEPARATOR not in name
    ]


def found_extras(places: Paths, workspace: Workspace) -> Extras:
    own = (places.skills, places.agents, places.instructions)
    if not workspace.approved and not any(one.exists() for one in own):
        return Extras()
    # Who has none does not wait for what reads them.
    from wardian.find_extras import load_extras

    return load_extras(places, workspace)


def built_tools(places: Paths) -> tuple[list[Tool], list[str]]:
    """The tools the user has approved, and notices. Raises: ConfigurationError."""
    if not (places.built_tools / INDEX).exists():
        return [], []
    from wardian.building.loading import load_built
    from wardian.building.store import BuiltTools

    return load_built(BuiltTools(places.built_tools))
