"""Does a run's first event hold, in its tables without a type, what readers of runs rely on?

What else stands in them is shown as it is; a run that somebody else wrote may say anything there.
"""

from collections.abc import Mapping
from typing import Any

from wardian.events import RunStarted

TOOL = {"name": str, "description": str, "parameters": dict}
FORK = {"run_id": str, "step": int, "group": str, "index": int}
GROUP = {"id": str, "index": int}


def misfit(started: RunStarted) -> str:
    """The first table that is not as it should be; empty where there is none."""
    if not all(_has(tool, TOOL) for tool in started.tools):
        return "tools"
    if started.fork and not _has(started.fork, FORK):
        return "fork"
    if started.group and not _has(started.group, GROUP):
        return "group"
    return "" if isinstance(started.settings.get("imported", {}), dict) else "settings.imported"


def _has(table: Mapping[str, Any], kinds: Mapping[str, type]) -> bool:
    return all(isinstance(table.get(name), kind) for name, kind in kinds.items())
