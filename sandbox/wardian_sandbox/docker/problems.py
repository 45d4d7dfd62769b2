"""What goes wrong with Docker, as a cause and what to do about it."""

from collections import deque
from pathlib import Path

from wardian_sandbox.errors import SandboxUnavailable

BUILD = "agent sandbox build"
OTHERWISE = "or choose --sandbox bubblewrap"
KNOWN = (
    # part of what Docker says, cause, remedy
    (
        "no space left on device",
        "Docker has no disk space",
        "Free some with 'agent sandbox gc' and 'docker system prune'.",
    ),
    (
        '"python3": executable file not found',
        "The sandbox's image has no python3",
        f"Build one that has with '{BUILD}'.",
    ),
)


MAX_SAID_CHARS = 2_000


class Tail:
    """The last that a program said: whole lines, at most MAX_SAID_CHARS of them together."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._chars = 0

    def hear(self, line: str) -> None:
        """One more line; of one too long its end. Empty ones do not count."""
        line = line.strip()
        if len(line) >= MAX_SAID_CHARS:
            line = f"…{line[2 - MAX_SAID_CHARS :]}"
        if line:
            self._lines.append(line)
            self._chars += len(line) + 1
        while self._chars > MAX_SAID_CHARS:
            self._chars -= len(self._lines.popleft()) + 1

    @property
    def text(self) -> str:
        return "\n".join(self._lines)


class DockerError(SandboxUnavailable):
    """Docker could not do what it was asked."""

    def __init__(self, status: int, cause: str, remedy: str = "") -> None:
        super().__init__(cause, remedy)
        self.status = status
        """Of its answer, as in HTTP; 0 when there was none."""


def explain(status: int, message: str) -> DockerError:
    """The error for what Docker answered."""
    if "runtime name" in message or "Runtimes:" in message or "runtime: runsc" in message:
        return no_runtime("runsc", status)
    for part, cause, remedy in KNOWN:
        if part in message.lower():
            return DockerError(status, f"{cause} ({message.strip()}).", remedy)
    return DockerError(
        status, f"Docker refused ({message.strip()}).", "Run 'agent sandbox doctor'."
    )


def no_daemon(path: Path, problem: Exception) -> DockerError:
    """The error for a daemon that cannot be reached, or went away while it was asked."""
    if isinstance(problem, PermissionError):
        return DockerError(
            0,
            f"You may not use the Docker daemon ({path}).",
            f"Join its group with 'sudo usermod -aG docker $USER' and log in anew, {OTHERWISE}.",
        )
    if isinstance(problem, TimeoutError):
        return DockerError(
            0,
            "The Docker daemon does not answer.",
            f"Restart it with 'sudo systemctl restart docker', {OTHERWISE}.",
        )
    what = "is not installed or not running" if not path.exists() else "is not running"
    return DockerError(
        0,
        f"The Docker daemon {what} ({path}: {problem}).",
        f"Start it with 'sudo systemctl start docker', {OTHERWISE}.",
    )


def no_image(name: str) -> DockerError:
    """The error for an image that was never built, or is gone."""
    return DockerError(404, f"The sandbox's image {name} is not there.", f"Make it with '{BUILD}'.")


def no_runtime(name: str, status: int = 0) -> DockerError:
    """The error for a runtime that the daemon was not told of."""
    return DockerError(
        status,
        f"The Docker daemon has no runtime {name}.",
        f'Install {name} and name it under "runtimes" in /etc/docker/daemon.json, '
        "as docs/sandbox.md shows.",
    )
