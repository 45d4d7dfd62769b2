"""The policy in force: the user's, narrowed by that of a trusted folder."""

from collections.abc import Mapping
from pathlib import Path

from wardian.settings.places import paths
from wardian.settings.trust import OWN_FOLDER, Workspace
from wardian_policies import Policy

PROJECT_POLICY = f"{OWN_FOLDER}/policy.toml"


def policy_in_force(
    name_or_path: str | Path, environ: Mapping[str, str], workspace: Workspace | None = None
) -> Policy:
    """A preset, one of the user's policies by name, or a file; narrowed by the workspace's own.

    Raises: PolicyError, PolicyFileError, ConfigurationError.
    """
    policy = Policy.load(name_or_path, folder=paths(environ).policies)
    text = workspace.read(PROJECT_POLICY) if workspace else None
    if workspace is None or text is None:
        return policy
    return policy.narrowed_by_text(text, workspace.root / PROJECT_POLICY)
