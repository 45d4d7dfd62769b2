"""Where Wardian keeps its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wardian.errors import ConfigurationError

HOME_VARIABLE = "WARDIAN_HOME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Files and folders of one user. Nothing here need exist yet; see `make_folder`."""

    config_file: Path
    policies: Path
    """Policy files the user may name without their path."""
    trusted: Path
    """Which folders' own files are believed; see `trust`."""
    agents: Path
    """Sub-agents, one Markdown file each."""
    skills: Path
    """Skills, a folder each with a SKILL.md."""
    instructions: Path
    """The user's own AGENTS.md."""
    built_tools: Path
    """Tools that an agent built and the user approved."""
    mcp_servers: Path
    """The list of tool servers."""
    mcp_foreign: Path
    """The same as other programs write it (`mcpServers`)."""
    mcp_approved: Path
    """What was approved of them."""
    runs: Path
    evaluations: Path
    """What `agent eval` found."""
    cache: Path
    models: Path
    """GGUF files that were downloaded or trained here."""


def paths(environ: Mapping[str, str]) -> Paths:
    """The user's places: all below `WARDIAN_HOME` where that is set, else the system's usual ones.

    The usual ones are read from the process's own environment (`XDG_CONFIG_HOME`, …).
    """
    if home := environ.get(HOME_VARIABLE):
        config = data = Path(home).expanduser().absolute()
        cache = config / "cache"
    else:
        import platformdirs

        usual = platformdirs.PlatformDirs("wardian", appauthor=False)
        config, data, cache = usual.user_config_path, usual.user_data_path, usual.user_cache_path
    return Paths(
        config_file=config / "config.toml",
        policies=config / "policies",
        mcp_servers=config / "mcp.toml",
        mcp_foreign=config / "mcp.json",
        mcp_approved=config / "mcp-approved.json",
        agents=config / "agents",
        skills=config / "skills",
        instructions=config / "AGENTS.md",
        built_tools=data / "tools",
        trusted=data / "trusted.json",
        runs=data / "runs",
        evaluations=data / "evaluations",
        cache=cache,
        models=data / "models",
    )


def make_folder(folder: Path) -> Path:
    """The folder, made if absent, readable by its owner only. Raises: ConfigurationError."""
    try:
        for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        if not folder.is_dir():
            raise NotADirectoryError(20, "it is not a folder")
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} cannot be made ({error.strerror or error}).",
            f"Make it writable, or set {HOME_VARIABLE} to a folder that is.",
        ) from error
    return folder
