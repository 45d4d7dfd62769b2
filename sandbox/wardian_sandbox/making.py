"""Making an image for containers, from what was asked to what is written down of it."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from wardian_sandbox.docker.build import build
from wardian_sandbox.docker.engine import find_engine
from wardian_sandbox.docker.image import Image, default_image, record
from wardian_sandbox.docker.packages import MINIMAL, USUAL, Say
from wardian_sandbox.docker.probing import RUNTIMES, runtimes
from wardian_sandbox.errors import SandboxError
from wardian_sandbox.proving import prove


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image that was made, and what came of trying it."""

    image: Image
    record: Path
    problems: dict[str, SandboxError]
    """By backend, for those that do not hold with it here."""


async def make_image(
    name: str,
    dockerfile: Path | None,
    *,
    minimal: bool,
    more: tuple[str, ...] = (),
    say: Say,
) -> Built:
    """Build the image, try it with every runtime there is, and write it down.

    Raises: SandboxError.
    """
    engine = find_engine()
    here = await runtimes(engine)
    packages = tuple(dict.fromkeys((*(MINIMAL if minimal else USUAL), *more)))
    name = name or default_image()
    image = await asyncio.to_thread(build, engine, name, packages, dockerfile=dockerfile, say=say)
    problems: dict[str, SandboxError] = {}
    # Unknown to the record until it is tried, as what is run is looked up there.
    record(image)
    for backend in (backend for backend, runtime in RUNTIMES.items() if runtime in here):
        say(f"trying {backend}")
        try:
            await prove(backend, image.digest)
        except SandboxError as problem:
            problems[backend] = problem
    held = tuple(
        backend
        for backend, runtime in RUNTIMES.items()
        if runtime in here and backend not in problems
    )
    image = replace(image, backends=held)
    return Built(image=image, record=record(image), problems=problems)
