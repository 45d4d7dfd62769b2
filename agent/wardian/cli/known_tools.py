"""Every tool that a run here would know, for the commands that show and explain them."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from wardian.cli.additions import built_tools, found_extras
from wardian.cli.sanitise import visible
from wardian.cli.servers import tools_of_servers
from wardian.cli.terminal import write
from wardian.errors import WardianError
from wardian.models.catalogue import resolve_model
from wardian.settings import paths
from wardian.settings.trust import workspace_of
from wardian.skills import skill_tool
from wardian.subagents import ChildRun, SubAgent, delegate, effects_of, with_all_below
from wardian_tools import Effect, Tool, ToolContext, load_entry_points, own_tools


def known_tools() -> dict[str, Tool]:
    """Built in, built by an agent, of installed packages and tool servers, skills, sub-agents.

    What could not be read is said on stderr. Raises: ConfigurationError.
    """
    places = paths(os.environ)
    plugins = load_entry_points()
    built, notices = built_tools(places)
    tools = [*own_tools(), *built, *plugins.tools, *tools_of_servers()]
    extras = found_extras(places, workspace_of(Path(), os.environ))
    tools += [skill_tool(extras.skills)] if extras.skills else []
    extras = extras.without({tool.name for tool in tools})
    tools += [as_tool(one, tuple(tools)) for one in extras.subagents]
    failures = [
        f"the tools of {failure.name} cannot be loaded: {failure.cause}"
        for failure in plugins.failures
    ]
    for notice in (*notices, *extras.notices, *failures):
        write(sys.stderr, visible(f"agent: {notice}") + "\n")
    return {tool.name: tool for tool in tools}


def as_tool(definition: SubAgent, theirs: Sequence[Tool]) -> Tool:
    """A sub-agent as the tool that a run with a local model would have."""
    effects = effects_of(definition, theirs)
    named = (one.model for one in with_all_below(definition) if isinstance(one.model, str))
    if any(is_elsewhere(model) for model in named):
        effects |= {Effect.EGRESS}
    return delegate(definition, effects, never, in_copy=False)


def is_elsewhere(model: str) -> bool:
    """Is it not on this machine, or not to be had here at all?"""
    try:
        return not resolve_model(model).is_local
    except WardianError:
        return True


async def never(task: str, context: ToolContext) -> ChildRun:
    raise AssertionError("A tool that is only shown was called.")
