"""System packages, and the permission Ubuntu asks for: what needs root, and nothing else does."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from progress import InstallFailed, run_logged

NEEDED = {"bwrap": "bubblewrap", "rg": "ripgrep", "g++": "g++", "make": "make"}
"""Program → Debian and Ubuntu package: the sandbox, file search, the compiler, the tests."""
RESTRICTION = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
PROFILES = Path("/etc/apparmor.d")
PROFILE = Path("/usr/share/apparmor/extra-profiles/bwrap-userns-restrict")
"""Ubuntu's own profile for bubblewrap, of the package apparmor-profiles; not in force by itself."""


def missing() -> list[str]:
    """Debian packages to install before anything else can work."""
    packages = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    if not has_ensurepip():
        packages.append(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")
    return packages


def has_ensurepip() -> bool:
    """Debian leaves ensurepip out of its python3 package: then `venv` cannot install pip."""
    return find_spec("ensurepip") is not None


def needs_profile() -> bool:
    """True where AppArmor forbids user namespaces and no profile is there for bubblewrap."""
    try:
        restricted = RESTRICTION.read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False
    return restricted and not any(
        "bwrap" in profile.name or "/usr/bin/bwrap" in profile.read_text(errors="replace")
        for profile in PROFILES.glob("*")
        if profile.is_file()
    )


def install(log: Path) -> None:
    """Install what is missing. Raises: InstallFailed."""
    packages = missing()
    if packages:
        install_packages(packages, log)
    if needs_profile():
        permit_user_namespaces(log)
    elif not packages:
        print("      all there", file=sys.stderr)


def install_packages(packages: list[str], log: Path) -> None:
    names = " ".join(packages)
    print(f"      missing: {names}", file=sys.stderr)
    if shutil.which("apt-get") is None:
        raise InstallFailed(
            f"These are missing and there is no apt-get: {names}.",
            "Install what your system calls them, then run it again.",
        )
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    root = as_root(f"apt-get install {names}")
    run_logged([*root, *apt, "update"], log)
    run_logged([*root, *apt, "install", "-y", "--no-install-recommends", *packages], log)


def permit_user_namespaces(log: Path) -> None:
    """Put Ubuntu's profile for bubblewrap in force: without one it may make no namespaces."""
    if not PROFILE.exists():
        install_packages(["apparmor-profiles"], log)
    target = PROFILES / PROFILE.name
    print(f"      permitting user namespaces to bubblewrap: {target}", file=sys.stderr)
    root = as_root(f"apparmor_parser -r {target}")
    run_logged([*root, "ln", "-sf", str(PROFILE), str(target)], log)
    run_logged([*root, "apparmor_parser", "-r", str(target)], log)


def as_root(purpose: str) -> list[str]:
    """What to put before a command to run it as root; asks for sudo's password if it must.

    Raises: InstallFailed.
    """
    if os.geteuid() == 0:
        return []
    administrator = f"Ask an administrator to run: {purpose}"
    if shutil.which("sudo") is None:
        raise InstallFailed("Root is needed, and there is no sudo.", administrator)
    print(f"      sudo may ask for your password, to run: {purpose}", file=sys.stderr)
    ask = ["sudo", "-v"] if sys.stdin.isatty() else ["sudo", "-n", "-v"]
    if subprocess.run(ask, check=False).returncode != 0:
        raise InstallFailed("Root is needed, and sudo was refused.", administrator)
    return ["sudo", "-n"]
