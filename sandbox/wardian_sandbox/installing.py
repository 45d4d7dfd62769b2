"""Python packages for one box: installed inside, into a folder of its own that goes with it.

Covers: pip runs in the box, as the guest, with the box's network if it has one; what packages do
when they are built or imported stays there. Requirements are names and versions only: no options,
no addresses, no paths.
"""

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from wardian_sandbox.errors import SandboxError
from wardian_sandbox.transfer import Operation, put
from wardian_sandbox.types import ExecResult, FileFailure

WHEELS = "wheels"
"""Below the box's home, as `inner.main.PACKAGES` is."""
REQUIREMENT = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
    r"(?:\[[A-Za-z0-9._,-]+\])?"
    r"(?:(?:==|>=|<=|~=|!=|<|>)[A-Za-z0-9.*+!_-]+(?:,(?:==|>=|<=|~=|!=|<|>)[A-Za-z0-9.*+!_-]+)*)?"
)
"""Source: PEP 508, without addresses and markers"""
PIP = (
    "cd ~ && python3 -I -m pip install --quiet --no-input --no-cache-dir"
    " --disable-pip-version-check --no-warn-script-location --target packages --upgrade"
)


async def install_packages(
    requirements: Sequence[str],
    wheels: Path | None,
    do: Operation,
    shell: Callable[[str], Awaitable[ExecResult]],
) -> ExecResult:
    """What pip makes of it. `do` works in the box's home. Raises: SandboxError, BadFrame."""
    for requirement in requirements:
        if REQUIREMENT.fullmatch(requirement) is None:
            raise SandboxError(
                f"{requirement!r} is not a package's name and version.",
                "Write it as 'name' or 'name==1.2'.",
            )
    if not requirements:
        raise SandboxError("There is nothing to install.", "Name a package.")
    words = [shlex.quote(requirement) for requirement in requirements]
    if wheels is None:
        return await shell(f"{PIP} {' '.join(words)}")
    for wheel in await asyncio.to_thread(_wheels_in, wheels):
        done = await put(do, f"{WHEELS}/{wheel.name}", wheel)
        if isinstance(done, FileFailure):
            raise SandboxError(f"{wheel.name} could not be put into the sandbox: {done.message}.")
    return await shell(f"{PIP} --no-index --find-links {WHEELS} {' '.join(words)}")


def _wheels_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.whl"))
