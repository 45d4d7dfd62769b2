"""Making the image that boxes run."""

import datetime as dt
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from wardian_sandbox.docker.engine import Engine
from wardian_sandbox.docker.image import Image
from wardian_sandbox.docker.leftovers import PROJECT
from wardian_sandbox.docker.packages import Say, bootstrap, can_bootstrap, host_suite
from wardian_sandbox.docker.problems import DockerError

SHIPPED = Path(__file__).parent.parent / "images" / "Dockerfile"
BASE = "debian:bookworm-slim"
"""What SHIPPED begins with."""
REGISTRY_SECONDS = 15.0
USER = "1000:1000"
"""Of the image by itself; a box names the workspace's."""


def build(
    engine: Engine,
    name: str,
    packages: Sequence[str],
    *,
    dockerfile: Path | None = None,
    say: Say,
) -> Image:
    """The image `name`, from `dockerfile`, else from the shipped one if its base can be had, else
    from the Debian packages. Raises: DockerError.
    """
    if dockerfile is not None:
        return from_dockerfile(engine, name, dockerfile, say=say)
    if _can_reach_registry(engine):
        say(f"taking {BASE} from its registry")
        return from_dockerfile(engine, name, SHIPPED, packages, say=say)
    if not can_bootstrap():
        raise DockerError(
            0,
            f"No registry has {BASE} for this machine, and mmdebstrap, which makes an image of "
            "Debian packages, is not installed.",
            "Install it with 'sudo apt-get install mmdebstrap', or name a Dockerfile.",
        )
    suite = host_suite()
    say(f"no registry can be reached; putting Debian packages together ({suite})")
    with tempfile.TemporaryDirectory(prefix="wardian-image-") as folder:
        tarball = Path(folder) / "root.tar"
        bootstrap(packages, suite, tarball, say)
        return from_tarball(engine, name, tarball, suite, packages, say=say)


def from_tarball(
    engine: Engine, name: str, tarball: Path, suite: str, packages: Sequence[str], *, say: Say
) -> Image:
    """The image of a file system made by `bootstrap`. Raises: DockerError."""
    say("handing the image to Docker")
    repository, _, tag = name.partition(":")
    query = {
        "fromSrc": "-",
        "repo": repository,
        "tag": tag or "latest",
        "changes": [f"USER {USER}", f"LABEL {PROJECT}=wardian"],
    }
    with tarball.open("rb") as body:
        for line in engine.progress(
            "POST", "/images/create", body, media="application/x-tar", **query
        ):
            if "error" in line:
                raise DockerError(0, f"Docker did not take the image: {line['error']}.")
    return _described(engine, name, suite, packages)


def from_dockerfile(
    engine: Engine, name: str, dockerfile: Path, packages: Sequence[str] = (), *, say: Say
) -> Image:
    """The image of a Dockerfile, built by Docker's own command. Raises: DockerError."""
    docker = shutil.which("docker")
    if docker is None:
        raise DockerError(
            0,
            "The command docker, which builds from a Dockerfile, is not installed.",
            "Install it with 'sudo apt-get install docker.io'.",
        )
    if not dockerfile.is_file():
        raise DockerError(0, f"There is no Dockerfile {dockerfile}.", "Name one that is there.")
    command = [docker, "--host", f"unix://{engine.path}", "build", "--tag", name]
    command += ["--label", f"{PROJECT}=wardian", "--file", str(dockerfile)]
    command += ["--build-arg", f"PACKAGES={' '.join(packages)}"] if packages else []
    command += [str(dockerfile.parent)]
    last = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = line.strip() or last
            say(line.strip())
    if process.returncode != 0:
        raise DockerError(0, f"The image could not be built: {last}.", f"Mend {dockerfile}.")
    return _described(engine, name, str(dockerfile), packages)


def remove_replaced(engine: Engine) -> int:
    """Remove our images that a newer one took the name of; gives the bytes that became free.

    Raises: DockerError.
    """
    wanted = json.dumps({"label": [f"{PROJECT}=wardian"], "dangling": ["true"]})
    return int(engine.call("POST", "/images/prune", filters=wanted).get("SpaceReclaimed") or 0)


def _can_reach_registry(engine: Engine) -> bool:
    try:
        engine.call("GET", f"/distribution/{BASE}/json", seconds=REGISTRY_SECONDS)
    except DockerError:
        return False
    return True


def _described(engine: Engine, name: str, source: str, packages: Sequence[str]) -> Image:
    digest = str(engine.call("GET", f"/images/{name}/json")["Id"])
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return Image(name=name, digest=digest, source=source, packages=tuple(packages), built=now)
