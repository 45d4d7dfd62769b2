"""What is in an image: Debian packages, and how they become a file system."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from wardian_sandbox.docker.naming import check_packages
from wardian_sandbox.docker.problems import DockerError, Tail

MINIMAL = ("python3", "ripgrep")
"""Without these a box has no interpreter or no search_files."""
USUAL = (
    *MINIMAL,
    "ca-certificates",
    "fonts-dejavu-core",
    "git",
    "python3-matplotlib",
    "python3-numpy",
    "python3-pandas",
    "python3-pip",
)
SUITE = "bookworm"
"""Where the host is neither Debian nor Ubuntu."""
OS_RELEASE = Path("/etc/os-release")
UNNEEDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
WITHOUT_SET_ID = 'find "$1" -xdev -type f -perm /6000 -exec chmod a-s {} +'
NO_MODE = "unable to pick chroot mode"
"""What mmdebstrap says where an ordinary user has no way to make what looks like root's files."""

Say = Callable[[str], None]
"""Shown to whoever waits."""


def host_suite() -> str:
    """The release whose packages this host's own tools can verify."""
    lines = OS_RELEASE.read_text().splitlines() if OS_RELEASE.exists() else []
    facts = dict(line.replace('"', "").split("=", 1) for line in lines if "=" in line)
    is_ours = facts.get("ID") in ("debian", "ubuntu")
    return facts.get("VERSION_CODENAME", SUITE) if is_ours else SUITE


def can_bootstrap() -> bool:
    return shutil.which("mmdebstrap") is not None


def bootstrap(packages: Sequence[str], suite: str, target: Path, say: Say) -> None:
    """Make the tar archive of a file system with these packages.

    Raises: InvalidRequest, DockerError.
    """
    check_packages(packages)
    command = ["mmdebstrap", "--variant=essential", f"--include={','.join(packages)}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in UNNEEDED]
    command += [f"--customize-hook={WITHOUT_SET_ID}", suite, str(target)]
    last = Tail()
    try:
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("I: "):
                    say(line[3:].strip())
                else:
                    last.hear(line)
    except OSError as problem:
        raise DockerError(
            0,
            f"mmdebstrap, which makes images of Debian packages, does not run ({problem}).",
            "Install it with 'sudo apt-get install mmdebstrap'.",
        ) from problem
    if process.returncode != 0:
        target.unlink(missing_ok=True)
        remedy = "Check the names of the packages, the network, and the free disk space."
        if NO_MODE in last.text:
            remedy = "Run it as root, or install what lets you map users: 'apt-get install uidmap'."
        words = last.text or f"mmdebstrap ended with code {process.returncode}"
        raise DockerError(0, f"The packages could not be put together:\n{words}", remedy)
