"""The policy in force: the user's, narrowed by that of a trusted folder."""

from collections.abc import Mapping
from pathlib import Path

from wardian.settings.places import paths
from wardian.settings.trust import OWN_FOLDER, Workspace
from wardian_policies import Policy

PROJECT_POLICY = f"{OWN_FOLDER}/policy.toml"
HOME_FILES = (
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile"),
    *(".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".config/fish/**"),
    *(".ssh/**", ".gitconfig", ".config/git/**", ".config/autostart/**"),
    *(".config/systemd/user/**", ".local/bin/**", ".cursor/mcp.json", ".claude.json"),
)
"""What the shell, the desktop or other programs of a user would execute from their home folder."""


def policy_in_force(
    name_or_path: str | Path, environ: Mapping[str, str], workspace: Workspace | None = None
) -> Policy:
    """A preset, one of the user's policies by name, or a file; narrowed by the workspace's own.

    Raises: PolicyError, PolicyFileError, ConfigurationError.
    """
    policy = Policy.load(name_or_path, folder=paths(environ).policies)
    if workspace is None:
        return policy
    text = workspace.read(PROJECT_POLICY)
    if text is not None:
        policy = policy.narrowed_by_text(text, workspace.root / PROJECT_POLICY)
    return guarded(policy, workspace.root, environ)


def guarded(policy: Policy, workspace: Path, environ: Mapping[str, str]) -> Policy:
    """The policy, keeping what would be executed where the workspace holds the user's home.

    The same for Wardian's own settings where the workspace holds those.
    """
    root = workspace.expanduser().resolve()
    places = paths(environ)
    kept: dict[Path, tuple[str, ...]] = {
        places.config_file.parent: ("**",),
        places.trusted.parent: ("**",),
    }
    if home := environ.get("HOME"):
        kept[Path(home)] = HOME_FILES
    globs = [
        "/".join((*folder.resolve().relative_to(root).parts, name))
        for folder, names in kept.items()
        if folder.resolve().is_relative_to(root)
        for name in names
    ]
    return policy.protecting([glob for glob in globs if glob != "**"]) if globs else policy
