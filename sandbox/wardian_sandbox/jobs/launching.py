"""Starting the process that jobs are forked from.

Covers: what the box of `wardian_sandbox.bubblewrap` covers, with this program's Python and its
packages read-only and no workspace: it sees no file of the user's.
Does not cover, where it is started without a box: anything but limits of memory and time.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import wardian_sandbox
from wardian_sandbox.bubblewrap import UNPRIVILEGED_ID, Arguments, launch_bwrap
from wardian_sandbox.diagnosis import find_bwrap
from wardian_sandbox.idmapped import detached, place_of
from wardian_sandbox.types import Confinement, ResourceLimits

OWN = Path(wardian_sandbox.__file__).parent.parent
BOOTSTRAP = (
    "import sys;"
    "sys.path+=sys.argv[2:];"
    "from wardian_sandbox.jobs.worker import main;"
    "main(sys.argv[1])"
)
AUTHORITIES_VARIABLE = "SSL_CERT_FILE"
"""Names a file of certificates to trust, as for OpenSSL and whatever is built on it."""
SYSTEM = Path("/usr")


def command(control: int, packages: Sequence[Path]) -> list[str]:
    """The interpreter itself, whatever environment this one was started from; without the site
    module, so that no .pth file of that environment runs."""
    python = os.path.realpath(sys.executable)
    return [python, "-I", "-S", "-B", "-c", BOOTSTRAP, str(control), *map(str, packages)]


def package_folders(beside: Sequence[Path]) -> list[Path]:
    """Where this program's packages are, those `beside` it and those that it depends on."""
    installed = (Path(sysconfig.get_path(name)) for name in ("purelib", "platlib"))
    return [path for path in dict.fromkeys((OWN, *beside, *installed)) if path.is_dir()]


def authorities() -> str:
    """The certificates that the user wants trusted beside the system's, as PEM; empty if none."""
    try:
        return Path(os.environ[AUTHORITIES_VARIABLE]).read_text(encoding="ascii")
    except (KeyError, OSError, ValueError):
        return ""


def launch_confined(
    control: int, limits: ResourceLimits, packages: Sequence[Path]
) -> subprocess.Popen[bytes]:
    """Raises: SandboxUnavailable, OSError."""
    bwrap = find_bwrap()
    shown = _outside_the_system(packages)
    with ExitStack() as stack:
        trees: list[int] | None = None
        places = {path: path for path in shown}
        if os.geteuid() == 0:
            # Root's own folders may be closed to the user that the box runs as.
            trees = [detached(path, UNPRIVILEGED_ID) for path in shown]
            for tree in trees:
                stack.callback(os.close, tree)
            places = {place_of(index): path for index, path in enumerate(shown)}
        arguments = Arguments(
            None, Confinement(limits=limits), bwrap.has_disable_userns, bwrap.has_size, places
        )
        stack.callback(arguments.close)
        inside = command(control, packages)
        return launch_bwrap(str(bwrap.path), arguments, control, inside, trees)


def _outside_the_system(packages: Sequence[Path]) -> list[Path]:
    """What of Python and the packages is not in /usr, which a box has anyway."""
    base = Path(os.path.realpath(sys.base_prefix))
    found = [] if base.is_relative_to(SYSTEM) else [base]
    for path in packages:
        if not any(path.is_relative_to(one) for one in (SYSTEM, *found)):
            found.append(path)
    return found


def launch_plain(control: int, packages: Sequence[Path]) -> subprocess.Popen[bytes]:
    """Raises: OSError."""
    return subprocess.Popen(
        command(control, packages),
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(control,),
        start_new_session=True,
    )
