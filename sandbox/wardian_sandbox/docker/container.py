"""What a box's container is: its limits, what is mounted into it, and what starts in it.

Covers: no network; the image read-only; no capabilities and no way to gain any; a user that is not
root; the same system call filter as bubblewrap's; memory, processors, processes, and the private
folders limited; nothing of the host's but the workspace and our modules, names and channel.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardian_sandbox.bootstrap import BARE, BOOTSTRAP, BUNDLE
from wardian_sandbox.files import WORKSPACE
from wardian_sandbox.inner.children import NO_CORE
from wardian_sandbox.limits import private_bytes
from wardian_sandbox.protecting import Cover, Mount
from wardian_sandbox.types import Confinement

MODULES = "/run/wardian"
CONTROL = "/run/wardian-control"
HOME = "/home/agent"
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": HOME,
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "AGENT": "wardian",
}
COVER = Path("covers/file")
"""In a box's folder: what is mounted over a hidden file."""
SUPERVISOR_PROCESSES = 2
"""The supervisor, and room for the runtime to start it."""
KERNEL_BYTES = 128 << 20
"""What gVisor's own kernel needs."""
THREADS_A_PROCESS = 4
KERNEL_THREADS = 128
"""gVisor's kernel has threads of its own, and several for each of the guest's."""
CPU_SHARES = 512
"""Half of what everything else has: the host comes first when both want the processor."""
LOG_BYTES = "64k"
"""Enough for the complaint of a supervisor that cannot start; after that nothing is logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that decides how a container is made."""

    image: str
    """Its digest, so that it is the one that was looked at."""
    runtime: str
    user: int
    workspace: Path
    protection: tuple[Mount, ...]
    folder: Path
    """Private to this box: modules, names, and the control socket."""
    control: str
    """As the supervisor knows it; see `wardian_sandbox.inner.control`."""
    confinement: Confinement
    labels: dict[str, str]
    seccomp: str

    @property
    def is_attached(self) -> bool:
        return not self.control.startswith("/")

    def as_json(self) -> dict[str, Any]:
        """The body of `POST /containers/create`."""
        return {
            "Image": self.image,
            "User": f"{self.user}:{self.user}",
            "Hostname": "sandbox",
            "WorkingDir": WORKSPACE,
            "Entrypoint": self._command(),
            "Cmd": [],
            "Labels": self.labels,
            "Healthcheck": {"Test": ["NONE"]},
            "NetworkDisabled": True,
            "Tty": False,
            "OpenStdin": self.is_attached,
            "StdinOnce": self.is_attached,
            "AttachStdin": self.is_attached,
            "HostConfig": self._host() | self._limits(),
        }

    def _command(self) -> list[str]:
        """Nothing of the image's environment gets in."""
        words = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        bundle = f"{MODULES}/{BUNDLE}"
        python = ["python3", *BARE, "-c", BOOTSTRAP, bundle, self.control]
        return ["/usr/bin/env", "-i", *words, *python]

    def _host(self) -> dict[str, Any]:
        size = private_bytes(self.confinement.limits)
        private = f"rw,exec,nosuid,nodev,size={size}"
        log: dict[str, Any] = {"Type": "none"}
        if not self.is_attached:
            log = {"Type": "json-file", "Config": {"max-size": LOG_BYTES, "max-file": "1"}}
        return {
            "Runtime": self.runtime,
            "NetworkMode": "none",
            "IpcMode": "private",
            "CgroupnsMode": "private",
            "ReadonlyRootfs": True,
            "Privileged": False,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges", f"seccomp={self.seccomp}"],
            "Tmpfs": {
                "/tmp": f"{private},mode=1777",  # noqa: S108 - the box's own
                HOME: f"{private},mode=0700,uid={self.user},gid={self.user}",
            },
            "ShmSize": size,
            "Mounts": self._mounts(),
            "RestartPolicy": {"Name": "no"},
            "LogConfig": log,
        }

    def _limits(self) -> dict[str, Any]:
        limits = self.confinement.limits
        memory, processes = limits.memory_bytes, limits.processes + SUPERVISOR_PROCESSES
        if self.is_attached:
            memory += KERNEL_BYTES
            processes = processes * THREADS_A_PROCESS + KERNEL_THREADS
        return {
            "Memory": memory,
            "MemorySwap": memory,
            "PidsLimit": processes,
            "NanoCpus": (os.cpu_count() or 1) * 10**9,
            "CpuShares": CPU_SHARES,
            "Ulimits": [{"Name": "core", "Soft": NO_CORE, "Hard": NO_CORE}],
        }

    def _mounts(self) -> list[dict[str, Any]]:
        mounts = [_bind(self.workspace, WORKSPACE, writable=bool(self.confinement.writable))]
        for mount in self.protection:
            target = f"{WORKSPACE}/{mount.path}"
            if mount.cover is not None:
                mounts.append(self._cover(target, mount.cover))
                continue
            writable = bool(self.confinement.writable) and not mount.read_only
            mounts.append(_bind(self.workspace / mount.path, target, writable=writable))
        mounts.append(_bind(self.folder / "modules", MODULES))
        if not self.is_attached:
            mounts.append(_bind(self.folder / "control", CONTROL))
        mounts += [
            _bind(file, f"/etc/{file.name}") for file in sorted((self.folder / "etc").iterdir())
        ]
        return mounts

    def _cover(self, target: str, cover: Cover) -> dict[str, Any]:
        if cover is Cover.FILE:
            return _bind(self.folder / COVER, target)
        return {
            "Type": "tmpfs",
            "Target": target,
            "ReadOnly": True,
            "TmpfsOptions": {"SizeBytes": 4096},
        }


def _bind(source: Path, target: str, *, writable: bool = False) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": str(source),
        "Target": target,
        "ReadOnly": not writable,
        "BindOptions": {"Propagation": "rprivate"},
    }
