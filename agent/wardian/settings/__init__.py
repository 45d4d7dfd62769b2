"""The user's settings: where they are kept, what they are, and where each value comes from."""

from wardian.settings.edit import config_set
from wardian.settings.in_force import budgets_in_force
from wardian.settings.load import Settings, load_settings
from wardian.settings.places import Paths, make_folder, paths
from wardian.settings.policies import guarded, policy_in_force
from wardian.settings.trust import Workspace, workspace_of

__all__ = [
    "Paths",
    "Settings",
    "Workspace",
    "budgets_in_force",
    "config_set",
    "guarded",
    "load_settings",
    "make_folder",
    "paths",
    "policy_in_force",
    "workspace_of",
]
