"""Making an image for containers, from what was asked to what is written down of it."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from wardian_sandbox.docker.build import build, check_dockerfile
from wardian_sandbox.docker.engine import find_engine
from wardian_sandbox.docker.image import Image, default_image, record
from wardian_sandbox.docker.naming import check_packages, repository_and_tag
from wardian_sandbox.docker.packages import MINIMAL, USUAL, Say
from wardian_sandbox.docker.probing import RUNTIMES, runtimes
from wardian_sandbox.errors import InvalidRequest, SandboxError, SandboxUnavailable
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
    """Build the image, try it with every runtime there is, and write it down if one holds.

    Raises: InvalidRequest before anything is asked or started; SandboxUnavailable when no sandbox
    holds with the image, which then is not recorded; SandboxError.
    """
    if dockerfile is not None and (minimal or more):
        raise InvalidRequest(
            "A Dockerfile says itself what is in its image: it takes neither --minimal nor -p.",
            "Leave them out, and install packages in the Dockerfile.",
        )
    packages = tuple(dict.fromkeys((*(MINIMAL if minimal else USUAL), *more)))
    name = name or default_image()
    _check(name, packages, dockerfile)
    engine = find_engine()
    here = await runtimes(engine)
    image = await asyncio.to_thread(build, engine, name, packages, dockerfile=dockerfile, say=say)
    problems: dict[str, SandboxError] = {}
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
    if not held:
        raise _unusable(name, problems)
    image = replace(image, backends=held)
    return Built(image=image, record=record(image), problems=problems)


def _check(name: str, packages: tuple[str, ...], dockerfile: Path | None) -> None:
    """Raises: InvalidRequest."""
    repository_and_tag(name)
    check_packages(packages)
    if dockerfile is not None:
        check_dockerfile(dockerfile)


def _unusable(name: str, problems: dict[str, SandboxError]) -> SandboxUnavailable:
    tried = [f"{backend} cannot be used with it: {one.cause}" for backend, one in problems.items()]
    return SandboxUnavailable(
        f"The image {name} was made, but no sandbox holds with it, and it is not recorded. "
        + " ".join(tried or ["The daemon has none of the runtimes."]),
        "It needs python3, bash, and coreutils. 'agent sandbox doctor' says what is lacking here.",
    )
