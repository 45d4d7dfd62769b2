"""Whether this machine can run boxes in containers, without starting one."""

from wardian_sandbox.docker.engine import Engine, find_engine
from wardian_sandbox.docker.image import find, recorded
from wardian_sandbox.docker.problems import BUILD, DockerError, no_image, no_runtime

RUNTIMES = {"docker": "runc", "gvisor": "runsc"}
"""backend → what Docker calls the runtime"""


async def require_proven(backend: str, image: str) -> None:
    """Raises: DockerError when `backend` cannot be had, or was not seen to hold, with `image`.

    Without an image that was built here Docker is not even asked: nothing is spent where nobody
    prepared it.
    """
    known = recorded(image)
    if known is None:
        raise no_image(image)
    if backend not in known.backends:
        raise DockerError(
            0,
            f"{backend} was not seen to hold when {image} was built.",
            f"Build it anew with '{BUILD}'.",
        )
    await require(backend, image)


async def require(backend: str, image: str) -> None:
    """Raises: DockerError when the daemon, `image` or the runtime of `backend` is lacking."""
    engine = find_engine()
    await find(engine, image)
    if RUNTIMES[backend] not in await runtimes(engine):
        raise no_runtime(RUNTIMES[backend])


async def runtimes(engine: Engine) -> frozenset[str]:
    """What the engine can run containers with. Raises: DockerError."""
    return frozenset((await engine.ask("GET", "/info")).get("Runtimes") or ())


async def version(engine: Engine) -> str:
    """Raises: DockerError."""
    return str((await engine.ask("GET", "/version"))["Version"])
