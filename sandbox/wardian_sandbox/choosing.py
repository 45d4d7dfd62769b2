"""Which backend `auto` is: the strongest that this machine can really enforce, and why that one.

Strongest first: gVisor answers the guest's system calls by a kernel of its own; bubblewrap puts
the guest in a user namespace, where it is nobody, and needs no daemon; Docker with runc gives it a
user of the host's, by a daemon that is root. Containers count only with an image that was built
here and with which they were seen to hold (`wardian_sandbox.proving`). `none` is never chosen.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from wardian_sandbox.bubblewrap import require_python
from wardian_sandbox.diagnosis import find_bwrap, user_namespace_problem
from wardian_sandbox.docker import probing
from wardian_sandbox.errors import SandboxError, SandboxUnavailable

Probe = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, and what was looked at before it was taken."""

    backend: str
    why: str = ""
    """One sentence; empty where it was asked for by name."""


async def choose(image: str, *, reaches_hosts: bool = False) -> Choice:
    """The strongest backend there is; one that can let listed hosts be reached, if it has to.

    Raises: SandboxUnavailable when there is none.
    """
    passed_over: dict[str, SandboxError] = {}
    for backend, probe in _probes(image, reaches_hosts).items():
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


def _probes(image: str, reaches_hosts: bool) -> dict[str, Probe]:
    """By backend, strongest first; each raises SandboxError when it cannot be had."""
    return {
        "gvisor": _no_way_out if reaches_hosts else lambda: probing.require("gvisor", image),
        "bubblewrap": _bubblewrap,
        "docker": lambda: probing.require("docker", image),
    }


async def _no_way_out() -> None:
    await asyncio.sleep(0)
    raise SandboxUnavailable("a gVisor box has no way out to the hosts that are allowed")


async def _bubblewrap() -> None:
    await asyncio.sleep(0)
    find_bwrap()
    require_python()
    problem = user_namespace_problem()
    if problem is not None:
        raise SandboxUnavailable(*problem)
