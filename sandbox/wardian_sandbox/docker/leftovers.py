"""Whose a container is, and removing those whose owner died.

Covers: a process that was killed, on this boot and in this process namespace, as the same user
(root: any). Does not cover, unless all are asked for: containers of other machines' or other
namespaces' processes, which cannot be told dead from here.
"""

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from wardian_sandbox.docker.engine import Engine
from wardian_sandbox.docker.problems import DockerError

PROJECT = "dev.wardian.project"
RUN = "dev.wardian.run"
OWNER = "dev.wardian.owner"
USER = "dev.wardian.user"
unremoved: set[str] = set()
"""Names of this process's own containers that could not be removed, as while the daemon is down."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told from any other that had or will have its number."""

    process: int
    started: str
    """Field 22 of /proc/PID/stat, in clock ticks since boot. Source: proc(5)."""
    namespace: str
    boot: str

    @classmethod
    def me(cls) -> "Owner":
        pid = os.getpid()
        return cls(pid, _started(pid) or "", _namespace(), _boot())

    @classmethod
    def parse(cls, label: str) -> "Owner | None":
        parts = label.split(" ")
        if len(parts) != 4 or not parts[0].isdecimal():
            return None
        return cls(int(parts[0]), parts[1], parts[2], parts[3])

    def __str__(self) -> str:
        return f"{self.process} {self.started} {self.namespace} {self.boot}"

    @property
    def is_dead(self) -> bool:
        """Surely; False where it cannot be told."""
        if self.boot != _boot():
            return True
        return self.namespace == _namespace() and _started(self.process) != self.started


def labels(run: str) -> dict[str, str]:
    """What tells that a container is ours, and whose. `run` is for people to read."""
    return {PROJECT: "wardian", RUN: run, OWNER: str(Owner.me()), USER: str(os.geteuid())}


async def reap(engine: Engine, *, everything: bool = False) -> tuple[str, ...]:
    """Remove the containers of owners that died, or all of ours; gives their names.

    Raises: DockerError when they cannot be listed.
    """
    wanted = json.dumps({"label": [f"{PROJECT}=wardian"]})
    removed: list[str] = []
    for found in await engine.ask("GET", "/containers/json", all=1, filters=wanted):
        name = str(found["Names"][0]).removeprefix("/")
        if everything or name in unremoved or _is_left_over(found["Labels"]):
            with contextlib.suppress(DockerError):  # somebody else is removing it
                await engine.ask("DELETE", f"/containers/{found['Id']}", force=1, v=1)
                removed.append(name)
                unremoved.discard(name)
    return tuple(removed)


def _is_left_over(found: dict[str, str]) -> bool:
    if os.geteuid() != 0 and found.get(USER) != str(os.geteuid()):
        return False
    owner = Owner.parse(found.get(OWNER, ""))
    return owner is not None and owner.is_dead


def _started(pid: int) -> str | None:
    """None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[19]


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


def _boot() -> str:
    return BOOT_ID.read_text().strip()
