"""The user's tool servers: where they are listed, what was approved of them, and for which run."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from wardian.errors import ConfigurationError
from wardian.settings import Paths
from wardian_policies import Policy
from wardian_tools.errors import ServerFileError
from wardian_tools.mcp.entries import Entry, Seen, read_servers
from wardian_tools.mcp.pins import Pin, read_pins
from wardian_tools.mcp.servers import McpServers
from wardian_tools.mcp.setting import Setting


def listed(places: Paths) -> dict[str, Entry]:
    """Every server the user lists, by name. Raises: ConfigurationError."""
    try:
        ours, foreign = read_servers(places.mcp_servers), read_servers(places.mcp_foreign)
    except ServerFileError as error:
        raise ConfigurationError(error.cause, error.remedy) from error
    if both := sorted(ours.keys() & foreign.keys()):
        where = f"{places.mcp_servers} and in {places.mcp_foreign}"
        cause = f"MCP server {', '.join(both)} is listed in {where}."
        raise ConfigurationError(cause, "Remove it from one of them.")
    return dict(sorted((ours | foreign).items()))


def approved(places: Paths) -> dict[str, Pin]:
    """What was approved, by server. Raises: ConfigurationError."""
    try:
        return read_pins(places.mcp_approved)
    except ServerFileError as error:
        raise ConfigurationError(error.cause, error.remedy) from error


def setting(
    environ: Mapping[str, str],
    workspace: Path,
    policy: Policy | None = None,
    *,
    is_copied: bool = False,
) -> Setting:
    """What servers are given; without a policy no more than their entries say."""
    if policy is None:
        return Setting(environ=environ, workspace=workspace.absolute())
    return Setting(
        environ=environ,
        workspace=workspace.absolute(),
        protected=policy.confinement.protected,
        is_copied=is_copied,
        given=lambda server: tuple(
            name for name in policy.secrets.given_to(f"mcp:{server}") if name in environ
        ),
    )


def servers_for_run(
    places: Paths,
    environ: Mapping[str, str],
    workspace: Path,
    policy: Policy,
    names: Sequence[str] | None = None,
    *,
    is_copied: bool = False,
) -> McpServers:
    """The approved servers that the policy lets a run use, with the tools of those `names`.

    `is_copied` says that the run works on a copy of the workspace: servers then only read it.
    Starts nothing. Raises: ConfigurationError.
    """
    allowed: dict[str, Entry] = {}
    refused: list[str] = []
    for name, entry in listed(places).items():
        if not any(fnmatchcase(name, glob) for glob in policy.mcp.servers):
            continue
        if entry.sandbox == "none" and name not in policy.mcp.unsandboxed:
            refused.append(
                f"MCP server {name!r} asks for no sandbox, which the policy {policy.name!r} does "
                f'not grant: it is left out ([mcp] unsandboxed = ["{name}"] would grant it).'
            )
            continue
        if is_copied and entry.workspace == Seen.WRITE:
            refused.append(f"MCP server {name!r} only reads the workspace: the run is on a copy.")
        allowed[name] = entry
    return McpServers(
        allowed,
        approved(places),
        setting(environ, workspace, policy, is_copied=is_copied),
        wanted=("*",) if names is None else names,
        notices=refused,
    )
