"""What a run on the command line has beside the usual tools: skills, sub-agents, a plan.

Without files of that kind this is a few looks at the disk.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wardian.extras import Extras, load_extras
from wardian.settings import paths
from wardian.settings.trust import workspace_of
from wardian.skills import SKILL
from wardian_tools import Tool
from wardian_tools.builtin import talking_tools

ASKING = "ask_user"
BUILT_IN = "tiny"
"""The model that knows the built-in tools and no others"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """What is added, and which of the named tools are still to be found elsewhere."""

    extras: Extras
    tools: tuple[Tool, ...]
    names: Sequence[str] | None


def additions(
    workspace: Path, model: str | None, names: Sequence[str] | None, *, may_ask: bool
) -> Additions:
    """What this user's folder and this workspace add. Raises: ConfigurationError."""
    places = paths(os.environ)
    extras = load_extras(places, workspace_of(workspace, os.environ)).limited_to(names)
    tools = () if names is not None or model in (None, BUILT_IN) else talking_tools()
    if names is not None:
        added = {SKILL if extras.skills else "", *(one.name for one in extras.subagents)}
        names = [name for name in names if name not in added]
    return Additions(
        extras=extras,
        tools=tuple(tool for tool in tools if may_ask or tool.name != ASKING),
        names=names,
    )
