"""Libraries whose types are missing, partial, or not those of what they export: taken as `Any`."""

from importlib import import_module
from typing import Any


def library(name: str) -> Any:
    """The module of that name, imported now."""
    return import_module(name)
