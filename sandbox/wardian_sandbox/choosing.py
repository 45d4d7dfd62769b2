"""Which backend `auto` is: the strongest that this machine can really enforce, and why that one.

Strongest first: gVisor answers the guest's system calls by a kernel of its own; bubblewrap puts
the guest in a user namespace, where it is nobody, and needs no daemon; Docker with runc gives it a
user of the host's, by a daemon that is root. Containers count only with an image that was built
here and with which they were seen to hold (`wardian_sandbox.proving`). `none` is never chosen.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from wardian_sandbox.diagnosis import find_bwrap, require_python, user_namespace_problem
from wardian_sandbox.docker import probing
from wardian_sandbox.docker.image import default_image
from wardian_sandbox.errors import SandboxError, SandboxUnavailable

NAMED = ("bubblewrap", "docker", "gvisor", "none")
BACKENDS = ("auto", *NAMED)
Probe = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, and what was looked at before it was taken."""

    backend: str
    why: str = ""
    """One sentence; empty where it was asked for by name."""


async def choose(backend: str, image: str = "", *, reaches_hosts: bool = False) -> Choice:
    """`backend` if this machine has what it needs; for `auto` the strongest that it has.

    With `reaches_hosts`, one that can let listed hosts be reached. Cheap: nothing is started.

    Raises: SandboxUnavailable.
    """
    if backend not in BACKENDS:
        raise SandboxUnavailable(
            f"There is no sandbox {backend!r}.", f"Choose one of {', '.join(BACKENDS)}."
        )
    image = image or default_image()
    if backend == "auto":
        return await _strongest(_probes(probing.require_proven, image, reaches_hosts))
    if backend != "none":
        await _probes(probing.require, image, reaches_hosts)[backend]()
    return Choice(backend)


async def _strongest(probes: dict[str, Probe]) -> Choice:
    passed_over: dict[str, SandboxError] = {}
    for backend, probe in probes.items():
        try:
            await probe()
        except SandboxError as problem:
            passed_over[backend] = problem
            continue
        stronger = "; ".join(f"not {name}: {lacks.cause}" for name, lacks in passed_over.items())
        why = f"{backend} is the strongest that this machine can enforce"
        return Choice(backend, f"{why} ({stronger})" if stronger else why)
    lacking = passed_over["bubblewrap"]
    raise SandboxUnavailable(
        f"This machine can enforce no sandbox. bubblewrap: {lacking.cause} "
        f"Docker: {passed_over['docker'].cause}",
        lacking.remedy,
    )


def _probes(
    container: Callable[[str, str], Awaitable[None]], image: str, reaches_hosts: bool
) -> dict[str, Probe]:
    """By backend, strongest first; each raises SandboxError when it cannot be had."""
    return {
        "gvisor": _no_way_out if reaches_hosts else lambda: container("gvisor", image),
        "bubblewrap": _bubblewrap,
        "docker": lambda: container("docker", image),
    }


async def _no_way_out() -> None:
    await asyncio.sleep(0)
    raise SandboxUnavailable(
        "gVisor has no way out to the hosts that the policy allows.",
        "Use docker or bubblewrap, or take the hosts out of the policy.",
    )


async def _bubblewrap() -> None:
    await asyncio.sleep(0)
    find_bwrap()
    require_python()
    problem = user_namespace_problem()
    if problem is not None:
        raise SandboxUnavailable(*problem)
