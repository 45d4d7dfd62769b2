"""The tool servers (MCP) of a run on the command line."""

import fnmatch
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from wardian.settings import Settings, load_settings, paths, policy_in_force
from wardian_policies import Policy
from wardian_tools.types import Tool, ToolSource


class Servers(ToolSource, Protocol):
    """What `wardian.mcp.servers_for_run` gives."""

    notices: tuple[str, ...]


def tool_servers(
    settings: Settings, policy: Policy, workspace: Path, names: Sequence[str] | None
) -> tuple[Servers | None, Sequence[str] | None]:
    """The servers of a run, and the names of tools that are not theirs.

    Without a list of servers this is two looks at the disk. Raises: ConfigurationError.
    """
    places = paths(os.environ)
    if not (places.mcp_servers.exists() or places.mcp_foreign.exists()):
        return None, names
    from wardian.mcp import servers_for_run  # who has no servers does not wait for it

    is_copied = settings.workspace_mode == "copy"
    servers = servers_for_run(places, os.environ, workspace, policy, names, is_copied=is_copied)
    if names is None:
        return servers, None
    theirs = [tool.name for tool in servers.tools]
    return servers, [name for name in names if not fnmatch.filter(theirs, name)]


def tools_of_servers() -> tuple[Tool, ...]:
    """Those the user approved, under the policy of the settings. Raises: ConfigurationError."""
    settings = load_settings({}, os.environ)
    policy = policy_in_force(settings.policy, os.environ)
    servers, _ = tool_servers(settings, policy, Path(), None)
    return servers.tools if servers else ()
