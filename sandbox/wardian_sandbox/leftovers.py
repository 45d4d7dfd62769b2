"""Removing what runs that died left on this machine."""

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from wardian_sandbox.bubblewrap import UNPRIVILEGED_ID
from wardian_sandbox.docker.build import remove_replaced
from wardian_sandbox.docker.engine import find_engine
from wardian_sandbox.docker.leftovers import reap
from wardian_sandbox.docker.problems import DockerError
from wardian_sandbox.own_folders import PREFIX, reap_dead

PLACES = (Path("/var/tmp"), Path("/tmp"))  # noqa: S108 - where copies may be made


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What was removed."""

    containers: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    image_bytes: int = 0
    problem: str = ""
    """Why Docker could not be asked; empty where it could."""


async def clear(*, everything: bool = False) -> Cleared:
    """Remove containers of dead owners (`everything`: all of ours), images that newer ones
    replaced, and copies of workspaces. Raises nothing: where there is no Docker it says so.
    """
    folders = await asyncio.to_thread(_folders)
    try:
        engine = find_engine()
        containers = await reap(engine, everything=everything)
        freed = await asyncio.to_thread(remove_replaced, engine)
    except DockerError as problem:
        return Cleared(folders=folders, problem=problem.cause)
    return Cleared(containers=containers, folders=folders, image_bytes=freed)


def _folders() -> tuple[Path, ...]:
    places = tuple(dict.fromkeys((Path(tempfile.gettempdir()), *PLACES)))
    owners = {os.geteuid(), *([UNPRIVILEGED_ID] if os.geteuid() == 0 else [])}
    before = _present(places)
    for place in places:
        for owner in owners:
            reap_dead(place, owner)
    return tuple(sorted(before - _present(places)))


def _present(places: tuple[Path, ...]) -> set[Path]:
    return {path for place in places for path in place.glob(f"{PREFIX}*")}
