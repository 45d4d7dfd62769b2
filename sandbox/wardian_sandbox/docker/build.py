"""Making the image that boxes run."""

import datetime as dt
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from wardian_sandbox.docker.engine import Engine
from wardian_sandbox.docker.image import Image
from wardian_sandbox.docker.leftovers import PROJECT
from wardian_sandbox.docker.naming import check_packages, repository_and_tag
from wardian_sandbox.docker.packages import Say, bootstrap, can_bootstrap, host_suite
from wardian_sandbox.docker.problems import DockerError, Tail
from wardian_sandbox.errors import InvalidRequest

SHIPPED = Path(__file__).parent.parent / "images" / "Dockerfile"
BASE = "debian:bookworm-slim"
"""What SHIPPED begins with."""
REGISTRY_SECONDS = 15.0
USER = "1000:1000"
"""Of the image by itself; a box names the workspace's."""
STEP = r"Step \d+/\d+ : |#\d+ \["
"""How Docker's two builders begin the line that says what they do next."""
STEP_CHARS = 200


def build(
    engine: Engine,
    name: str,
    packages: Sequence[str],
    *,
    dockerfile: Path | None = None,
    say: Say,
) -> Image:
    """The image `name`, from `dockerfile`, else from the shipped one if its base can be had, else
    from the Debian packages. Raises: InvalidRequest, DockerError.
    """
    check_packages(packages)
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
    repository, tag = repository_and_tag(name)
    query = {
        "fromSrc": "-",
        "repo": repository,
        "tag": tag,
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
    """The image of a Dockerfile, built by Docker's own command; its steps are said as they begin.

    Raises: InvalidRequest when the file is not there; DockerError with the last that Docker said.
    """
    repository_and_tag(name)
    docker = shutil.which("docker")
    if docker is None:
        raise DockerError(
            0,
            "The command docker, which builds from a Dockerfile, is not installed.",
            "Install it with 'sudo apt-get install docker.io'.",
        )
    check_dockerfile(dockerfile)
    command = [docker, "--host", f"unix://{engine.path}", "build", "--tag", name]
    command += ["--label", f"{PROJECT}=wardian", "--file", str(dockerfile)]
    command += ["--force-rm"]  # or a step that fails leaves its container
    command += ["--build-arg", f"PACKAGES={' '.join(packages)}"] if packages else []
    command += [str(dockerfile.parent)]
    said = Tail()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.match(STEP, line):
                say(line.strip()[:STEP_CHARS])
            else:
                said.hear(line)
    if process.returncode != 0:
        words = said.text or f"docker build ended with code {process.returncode}"
        raise DockerError(0, f"The image could not be built:\n{words}", f"Mend {dockerfile}.")
    return _described(engine, name, str(dockerfile), packages)


def check_dockerfile(path: Path) -> None:
    """Raises: InvalidRequest when it is not there."""
    if not path.is_file():
        raise InvalidRequest(f"There is no Dockerfile {path}.", "Name one that is there.")


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
