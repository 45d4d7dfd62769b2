"""The user's settings: where they are kept, what they are, and where each value comes from."""

from wardian.settings.edit import config_set
from wardian.settings.load import Settings, load_settings
from wardian.settings.places import Paths, make_folder, paths

__all__ = [
    "Paths",
    "Settings",
    "config_set",
    "load_settings",
    "make_folder",
    "paths",
]
