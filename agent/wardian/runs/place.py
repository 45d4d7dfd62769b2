"""Where the runs are kept, as seen from a workspace."""

from pathlib import Path


def own_place(home: Path, workspace: Path) -> str:
    """The folder of the runs by its path in the workspace, ending in `/`; empty if it is not there.

    A workspace may be somebody's home, with the runs below it. What is written there is not a run's
    doing, and does not count as its changes.
    """
    home, workspace = home.resolve(), workspace.resolve()
    if home == workspace or not home.is_relative_to(workspace):
        return ""
    return f"{home.relative_to(workspace).as_posix()}/"
