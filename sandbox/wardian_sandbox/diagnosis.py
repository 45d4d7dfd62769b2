"""Why a bubblewrap box cannot start here, and what the user can do about it."""

import functools
import os
import re
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from wardian_sandbox.errors import SandboxUnavailable

BWRAP = Path("/usr/bin/bwrap")
"""The system's own: a bwrap found by PATH could be anybody's."""
PYTHON = Path("/usr/bin/python3")
"""What runs inside."""
APPARMOR_REMEDY = (
    "Give bubblewrap its profile: 'sudo apt-get install apparmor-profiles && sudo ln -s "
    "/usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
    "sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict'; or lift the restriction for "
    "every program: 'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0'."
)
TRIAL = ("--unshare-user", "--unshare-net", "--ro-bind", "/", "/", "--", "/bin/true")
TRIAL_SECONDS = 60.0
"""A machine with much to do takes seconds; one on which this hangs gets its diagnosis late."""
NOBODY = 65534
SYSCTLS = Path("/proc/sys")


@dataclass(frozen=True, slots=True)
class Bwrap:
    """The bubblewrap of this machine."""

    path: Path
    version: str

    @property
    def _parts(self) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", self.version))

    @property
    def has_disable_userns(self) -> bool:
        return self._parts >= (0, 8)

    @property
    def has_size(self) -> bool:
        return self._parts >= (0, 7)


def find_bwrap(path: Path = BWRAP) -> Bwrap:
    """Raises: SandboxUnavailable when there is none, it is not the system's, or does not run."""
    try:
        _check_owner(path)
    except FileNotFoundError as problem:
        raise SandboxUnavailable(
            f"bubblewrap is not installed ({path} is missing).",
            "Install it with 'sudo apt-get install bubblewrap'.",
        ) from problem
    return Bwrap(path, _version(path))


def _check_owner(path: Path) -> None:
    """Only root may be able to change what confines. Raises: SandboxUnavailable, OSError."""
    program = path.resolve(strict=True)
    status = program.stat()
    if status.st_mode & stat.S_ISUID:
        raise SandboxUnavailable(
            f"{path} is set-user-id, and would start as root.",
            f"Remove the bit with 'sudo chmod u-s {program}'.",
        )
    for place in (program, program.parent):
        status = place.stat()
        if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise SandboxUnavailable(
                f"{place} is not root's alone, so that others could replace what confines.",
                f"Mend it with 'sudo chown root:root {place} && sudo chmod go-w {place}'.",
            )


@functools.cache
def _version(path: Path) -> str:
    try:
        shown = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise SandboxUnavailable(
            f"{path} does not run: {problem}.",
            "Reinstall it with 'sudo apt-get install --reinstall bubblewrap'.",
        ) from problem
    return shown.stdout.strip().rpartition(" ")[2]


def require_python() -> None:
    """Raises: SandboxUnavailable when the system has no Python to run inside."""
    if not PYTHON.exists():
        raise SandboxUnavailable(
            f"The sandbox runs {PYTHON}, which this machine does not have.",
            "Install it with 'sudo apt-get install python3'.",
        )


def read_sysctl(name: str) -> str | None:
    """Its value; None where this kernel has none of that name."""
    try:
        return (SYSCTLS / name.replace(".", "/")).read_text().strip()
    except OSError:
        return None


def user_namespace_problem(path: Path = BWRAP) -> tuple[str, str] | None:
    """(cause, remedy) when this kernel's settings keep bubblewrap from making user namespaces.

    A setting that forbids them may have an exception for it, so it is tried.
    """
    forbidden = forbidding_setting()
    return None if forbidden is None or _makes_namespaces(path) else forbidden


def _makes_namespaces(path: Path) -> bool:
    is_root = os.geteuid() == 0
    try:
        trial = subprocess.run(
            [path, *TRIAL],
            env={},
            capture_output=True,
            timeout=TRIAL_SECONDS,
            check=False,
            user=NOBODY if is_root else None,
            group=NOBODY if is_root else None,
            extra_groups=[] if is_root else None,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return trial.returncode == 0


def forbidding_setting() -> tuple[str, str] | None:
    """(cause, remedy) of the kernel setting that forbids unprivileged user namespaces, if any."""
    if read_sysctl("kernel.apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor restricts user namespaces on this machine (as Ubuntu does from 23.10 on)",
            APPARMOR_REMEDY,
        )
    if read_sysctl("kernel.unprivileged_userns_clone") == "0":
        return (
            "unprivileged user namespaces are switched off on this machine",
            "Switch them on with 'sudo sysctl -w kernel.unprivileged_userns_clone=1'.",
        )
    if read_sysctl("user.max_user_namespaces") == "0":
        return (
            "this machine allows no user namespaces",
            "Allow them with 'sudo sysctl -w user.max_user_namespaces=15000'.",
        )
    return None


def explain_failure(complaint: str) -> SandboxUnavailable:
    """What a bwrap that did not start means."""
    said = complaint.strip().removeprefix("bwrap: ").rstrip(".")
    namespaces = re.search(r"namespace|uid map|loopback|RTM_NEWADDR|clone", said)
    problem = forbidding_setting()
    if namespaces and problem is not None:
        cause, remedy = problem
        return SandboxUnavailable(f"bubblewrap cannot start: {cause} ({said}).", remedy)
    if namespaces:
        return SandboxUnavailable(
            f"bubblewrap cannot start: it may not make namespaces here ({said}).",
            "Inside a container, allow them (Docker: --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined); or, if code may run unconfined, use "
            "--sandbox none.",
        )
    return SandboxUnavailable(
        f"bubblewrap cannot start: {said or 'it said nothing'}.",
        "Run 'agent doctor' for what this machine lacks.",
    )
