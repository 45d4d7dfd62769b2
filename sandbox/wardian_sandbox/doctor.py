"""What this machine can enforce, and how to mend what it cannot."""

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from wardian_sandbox import seccomp
from wardian_sandbox.bubblewrap import UNPRIVILEGED_ID
from wardian_sandbox.cgroup_places import find_place
from wardian_sandbox.choosing import choose
from wardian_sandbox.diagnosis import (
    PYTHON,
    find_bwrap,
    require_python,
    user_namespace_problem,
)
from wardian_sandbox.docker.engine import find_engine
from wardian_sandbox.docker.image import default_image, is_there
from wardian_sandbox.docker.probing import RUNTIMES, runtimes, version
from wardian_sandbox.docker.problems import DockerError
from wardian_sandbox.errors import SandboxError, SandboxUnavailable
from wardian_sandbox.idmapped import mapped
from wardian_sandbox.inner import landlock
from wardian_sandbox.opening import open_sandbox
from wardian_sandbox.proving import prove
from wardian_sandbox.types import Confinement


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about this machine."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    """What to do; empty when nothing need be done."""


async def probe() -> tuple[Finding, ...]:
    """Look at all the sandbox needs, and really start a box."""
    return (
        _bubblewrap(),
        _user_namespaces(),
        _seccomp(),
        _python(),
        _ripgrep(),
        *await _box(),
        *await _containers(),
        await _choice(),
        _user(),
        _landlock(),
        _cgroups(),
    )


def _bubblewrap() -> Finding:
    try:
        found = find_bwrap()
    except SandboxUnavailable as problem:
        return _missing("bubblewrap", problem)
    return Finding(name="bubblewrap", ok=True, detail=f"{found.version} at {found.path}")


def _missing(name: str, problem: SandboxError) -> Finding:
    return Finding(name=name, ok=False, detail=problem.cause, remedy=problem.remedy)


def _user_namespaces() -> Finding:
    problem = user_namespace_problem()
    if problem is None:
        return Finding(name="user namespaces", ok=True, detail="not forbidden by this kernel")
    cause, remedy = problem
    return Finding(name="user namespaces", ok=False, detail=cause, remedy=remedy)


def _seccomp() -> Finding:
    try:
        instructions = len(seccomp.program()) // 8
    except SandboxUnavailable as problem:
        return _missing("seccomp", problem)
    detail = f"{instructions} instructions for {platform.machine()}"
    return Finding(name="seccomp", ok=True, detail=detail)


def _python() -> Finding:
    try:
        require_python()
    except SandboxUnavailable as problem:
        return _missing("python inside", problem)
    return Finding(name="python inside", ok=True, detail=str(PYTHON.resolve()))


def _ripgrep() -> Finding:
    found = shutil.which("rg", path="/usr/local/bin:/usr/bin:/bin")
    if found is not None:
        return Finding(name="ripgrep", ok=True, detail=found)
    remedy = "Install it with 'sudo apt-get install ripgrep'."
    return Finding(name="ripgrep", ok=False, detail="search_files cannot work", remedy=remedy)


async def _box() -> tuple[Finding, ...]:
    """The proof: a box that starts and computes; with what it enforces, and how."""
    try:
        with tempfile.TemporaryDirectory(prefix="wardian-probe-") as folder:
            async with await open_sandbox("bubblewrap", Path(folder), Confinement()) as sandbox:
                answer = await sandbox.python("20 + 22", Confinement())
    except SandboxError as problem:
        return (_missing("a box starts", problem),)
    enforced = ", ".join(sandbox.identity.enforced)
    limits = "; ".join(f"{limit}: {keeper}" for limit, keeper in sandbox.identity.limits.items())
    return (
        Finding(name="a box starts", ok=answer.value == "42", detail=enforced),
        Finding(name="limits in force", ok=True, detail=limits),
    )


async def _containers() -> tuple[Finding, ...]:
    """Informative where there is no Docker; where there is, boxes are really started."""
    image = default_image()
    try:
        engine = find_engine()
        detail = f"{await version(engine)} at {engine.path}"
        found = await runtimes(engine)
    except DockerError as problem:
        return (Finding(name="docker", ok=True, detail=f"{problem.cause} (not needed)"),)
    findings = [Finding(name="docker", ok=True, detail=detail)]
    for backend, runtime in RUNTIMES.items():
        if runtime not in found:
            detail = f"the Docker daemon has no runtime {runtime} (not needed)"
            findings.append(Finding(name=f"{backend} box", ok=True, detail=detail))
        elif not await is_there(engine, image):
            detail = f"no image {image} (not needed): 'agent sandbox build' makes it"
            findings.append(Finding(name=f"{backend} box", ok=True, detail=detail))
        else:
            findings.append(await _container(backend, image))
    return tuple(findings)


async def _container(backend: str, image: str) -> Finding:
    try:
        enforced = await prove(backend, image)
    except SandboxError as problem:
        return _missing(f"{backend} box", problem)
    return Finding(name=f"{backend} box", ok=True, detail=", ".join(enforced))


async def _choice() -> Finding:
    try:
        choice = await choose("auto")
    except SandboxError as problem:
        return _missing("auto", problem)
    return Finding(name="auto", ok=True, detail=choice.why)


def _user() -> Finding:
    if os.geteuid() != 0:
        return Finding(name="user", ok=True, detail=f"uid {os.geteuid()}, not root")
    try:
        os.close(mapped(Path.cwd(), UNPRIVILEGED_ID))
    except OSError as problem:
        where = f"on a synchronised copy of the workspace, since ids cannot be mapped ({problem})"
    else:
        where = "on the workspace itself, its ids mapped"
    return Finding(name="user", ok=True, detail=f"root; boxes run as uid {UNPRIVILEGED_ID} {where}")


def _landlock() -> Finding:
    """Informative: an inner layer, below mounts that are read-only already."""
    abi = landlock.version()
    detail = f"ABI {abi}" if abi > 0 else "not in this kernel, or switched off (not needed)"
    return Finding(name="landlock", ok=True, detail=detail)


def _cgroups() -> Finding:
    """Informative: where no group can be made, the host watches what a box uses."""
    place = find_place()
    if place is not None:
        return Finding(name="cgroups", ok=True, detail=f"{place.name}, a group for each box")
    detail = (
        "this user may make none (not needed: memory is watched from the host); below systemd, "
        "'systemd-run --user --scope -p Delegate=yes agent …' has one"
    )
    return Finding(name="cgroups", ok=True, detail=detail)
