"""Where the runs are kept, as seen from a workspace."""

from pathlib import Path


def own_place(home: Path, workspace: Path) -> str:
    """The folder of the runs by its path in the workspace, ending in `/`; empty if it is not there.

    Somebody's home folder as the workspace holds it, and no run did what is written there.
    """
    home, workspace = home.resolve(), workspace.resolve()
    if home == workspace or not home.is_relative_to(workspace):
        return ""
    return f"{home.relative_to(workspace).as_posix()}/"
