"""The files that a task began with, as far as the run kept them."""

import stat

from wardian.errors import StorageError
from wardian.events import WorkspaceSaved
from wardian.export.rows import Unfit
from wardian.runs.states import FILES_NAME, States
from wardian.runs.trajectory import Trajectory

MAX_BYTES = 262_144
"""Of all of them; a row is not an archive"""


def first_files(run: Trajectory) -> dict[str, str]:
    """Text by path; empty where the run changed nothing, since then none was kept.

    Raises: Unfit for what is no text, too large, or no longer there.
    """
    saved = [event.state for event in run.events if isinstance(event, WorkspaceSaved)]
    if not saved:
        return {}
    folder = run.path.parent
    found: dict[str, str] = {}
    left = MAX_BYTES
    try:
        for path, kept in States(folder).state(saved[0]).items():
            if stat.S_ISDIR(kept.entry.kind):
                continue
            left -= kept.entry.size
            if left < 0 or not stat.S_ISREG(kept.entry.kind) or not _is_digest(kept.ref):
                raise Unfit("its workspace does not fit into a row")
            found[path] = (folder / FILES_NAME / kept.ref).read_bytes().decode()
    except (OSError, StorageError, UnicodeDecodeError) as error:
        raise Unfit("its workspace does not fit into a row") from error
    return found


def _is_digest(ref: str) -> bool:
    return len(ref) == 64 and set(ref) <= set("0123456789abcdef")
