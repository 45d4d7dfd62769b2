"""The embedded sandbox on Linux: bubblewrap, with nothing of the host but what is named here.

Covers: own user, process, network, IPC, host-name and cgroup namespaces; no network; the host's
`/usr` read-only and nothing else of its files; a generated `/etc`; sized private /tmp, home and
/dev/shm; a system call filter; Landlock where the kernel has it; limits of each process and of the
box as a whole (`wardian_sandbox.guard`); no way to gain privileges; an empty environment.
Protected paths are mounted read-only, whether they were there or not; hidden ones are covered.
Does not cover: `readable` and `writable` globs for code (only file operations obey them); bugs in
the kernel's allowed calls; what anybody may read in `/usr`.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from wardian_sandbox import seccomp
from wardian_sandbox.bootstrap import BARE, BOOTSTRAP, BUNDLE, bundle
from wardian_sandbox.diagnosis import PYTHON, find_bwrap, require_python
from wardian_sandbox.egress.proxy import EgressProxy
from wardian_sandbox.files import WORKSPACE
from wardian_sandbox.guard import Guard
from wardian_sandbox.idmapped import PLACE, launched_with, launched_with_all
from wardian_sandbox.limits import kept_by, private_bytes
from wardian_sandbox.program import SEARCHED
from wardian_sandbox.protecting import Cover, Mount
from wardian_sandbox.starting import start_in_group
from wardian_sandbox.supervised import SupervisedSandbox
from wardian_sandbox.types import Confinement, ResourceLimits, SandboxIdentity
from wardian_sandbox.workspace import Workspace

UNPRIVILEGED_ID = 60937
"""User and group that bubblewrap runs as when the host process is root. Started by root it would
leave /proc/sys writable. Unallocated by convention. Source: systemd, "Users, Groups, UIDs"."""
HOME = "/home/agent"
OURS = "/run/wardian"
MODULES = f"{OURS}/{BUNDLE}"
ENFORCED = (
    "user-namespace",
    "pid-namespace",
    "ipc-namespace",
    "no-network",
    "read-only-system",
    "private-tmp",
    "seccomp",
    "rlimits",
    "no-new-privileges",
)
ETC_FILES = {
    "passwd": f"root:x:0:0::/nonexistent:/usr/sbin/nologin\n"
    f"agent:x:1000:1000::{HOME}:/bin/bash\n"
    "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
ETC_FROM_HOST = (
    "ld.so.cache",
    "alternatives",
    "localtime",
    "ssl/certs",
    "fonts",
    "mime.types",
    "matplotlibrc",
)
"""Read-only, where there: what programs in /usr need to start, and nothing personal."""
TOP_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
NOTHING: Mapping[Path, Path] = {}
ENVIRONMENT = {
    "PATH": SEARCHED,
    "HOME": HOME,
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "AGENT": "wardian",
}


async def open_bubblewrap(
    workspace: Workspace,
    confinement: Confinement,
    proxy: EgressProxy | None = None,
    chosen: str = "",
) -> SupervisedSandbox:
    """A bubblewrap box around `workspace`; with `proxy` as its only way out.

    `chosen` says why it is this backend, for the record.

    Raises: SandboxUnavailable.
    """
    bwrap = find_bwrap()
    require_python()
    limits = confinement.limits
    arguments = Arguments(workspace, confinement, bwrap.has_disable_userns, bwrap.has_size)

    def launch(control: int) -> subprocess.Popen[bytes]:
        try:
            command = [str(PYTHON), *BARE, "-c", BOOTSTRAP, MODULES, str(control)]
            return launch_bwrap(str(bwrap.path), arguments, control, command, workspace.tree)
        finally:
            arguments.close()

    settings: dict[str, Any] = {
        "root": WORKSPACE,
        "names": [WORKSPACE],
        "home": HOME,
        "limits": asdict(limits),
        "unlimited": [],
        "landlock": [HOME, WORKSPACE] if confinement.writable else [HOME],
    }
    (process, channel, ready), group = await start_in_group(launch, settings, limits, proxy)
    guard = Guard(limits, workspace.path, process=process.pid, group=group)
    keeper = group.place.name if group is not None else "host watcher"
    identity = SandboxIdentity(
        backend="bubblewrap",
        enforced=(
            *ENFORCED,
            *(("no-nested-namespaces",) if bwrap.has_disable_userns else ()),
            *(("landlock",) if ready.get("landlock") else ()),
            *(("cgroup-limits",) if group is not None else ()),
        ),
        limits=kept_by(keeper, cgroup=group is not None, has_size=bwrap.has_size),
        detail={
            "bubblewrap": bwrap.version,
            "landlock": ready.get("landlock"),
            "python": ready.get("python"),
            "workspace": workspace.mode,
            "runs_as": UNPRIVILEGED_ID if os.geteuid() == 0 else os.geteuid(),
            "egress": list(confinement.egress.hosts),
            "chosen": chosen,
        },
    )
    return SupervisedSandbox(process, channel, workspace, identity, WORKSPACE, proxy, guard)


def launch_bwrap(
    bwrap: str,
    arguments: "Arguments",
    control: int,
    inside: list[str],
    trees: int | Sequence[int] | None = None,
) -> subprocess.Popen[bytes]:
    """Run the command `inside` a box: with an empty environment, bwrap's arguments by descriptor,
    never as root. `trees` is what is mounted for it to see: see `idmapped`.
    """
    command = [bwrap, "--args", str(arguments.as_file()), "--", *inside]
    is_root = os.geteuid() == 0

    def run() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(control, *arguments.descriptors),
            user=UNPRIVILEGED_ID if is_root else None,
            group=UNPRIVILEGED_ID if is_root else None,
            extra_groups=[] if is_root else None,
        )

    if trees is None:
        return run()
    return launched_with(trees, run) if isinstance(trees, int) else launched_with_all(trees, run)


class Shown(Protocol):
    """The folder that a box shows as its workspace; see `Workspace`."""

    @property
    def path(self) -> Path: ...

    @property
    def mounts(self) -> tuple[Mount, ...]: ...

    @property
    def tree(self) -> int | None: ...


class Arguments:
    """bwrap's arguments, and the descriptors of the data they speak of."""

    def __init__(
        self,
        workspace: Shown | None,
        confinement: Confinement,
        has_disable_userns: bool,
        has_size: bool,
        readable: Mapping[Path, Path] = NOTHING,
    ) -> None:
        """`readable` is more of the host that is shown, read-only: where it is → its place."""
        self.descriptors: list[int] = []
        self._words: list[str] = []
        self._has_size = has_size
        self._isolate(has_disable_userns)
        self._add_system()
        self._add_etc()
        for name, content in bundle().items():
            self._file(f"{OURS}/{name}", content)
        self._add_scratch(confinement.limits)
        for source, place in readable.items():
            self._add("--ro-bind", str(source), str(place))
        if workspace is not None:
            self._add_workspace(workspace, confinement)
        self._add("--remount-ro", "/")
        self._add("--seccomp", str(self._data(seccomp.program())))

    def as_file(self) -> int:
        """A descriptor of all the arguments, NUL-separated."""
        return self._data(b"".join(os.fsencode(word) + b"\0" for word in self._words))

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()

    def _add(self, *words: str) -> None:
        self._words += words

    def _data(self, content: bytes) -> int:
        descriptor = os.memfd_create("wardian", os.MFD_CLOEXEC)
        self.descriptors.append(descriptor)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def _file(self, path: str, content: bytes) -> None:
        self._add("--perms", "0444", "--file", str(self._data(content)), path)

    def _isolate(self, has_disable_userns: bool) -> None:
        self._add("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc")
        self._add("--unshare-uts", "--unshare-cgroup-try", "--uid", "1000", "--gid", "1000")
        self._add("--hostname", "sandbox", "--as-pid-1", "--new-session", "--die-with-parent")
        self._add("--cap-drop", "ALL")
        if has_disable_userns:
            self._add("--disable-userns")
        for name, value in ENVIRONMENT.items():
            self._add("--setenv", name, value)

    def _add_system(self) -> None:
        self._add("--ro-bind", "/usr", "/usr")
        for name in TOP_FOLDERS:
            top = Path("/") / name
            if top.is_symlink():
                self._add("--symlink", str(top.readlink()), str(top))
            elif top.is_dir():
                self._add("--ro-bind", str(top), str(top))

    def _add_etc(self) -> None:
        for name, text in ETC_FILES.items():
            self._file(f"/etc/{name}", text.encode())
        for name in ETC_FROM_HOST:
            self._add("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")

    def _add_scratch(self, limits: ResourceLimits) -> None:
        self._add("--proc", "/proc", "--dev", "/dev")
        for path, mode in (("/tmp", "1777"), (HOME, "0700"), ("/dev/shm", "1777")):  # noqa: S108
            self._add("--perms", mode)
            if self._has_size:
                self._add("--size", str(private_bytes(limits)))
            self._add("--tmpfs", path)
        self._add("--remount-ro", "/dev")

    def _add_workspace(self, workspace: Shown, confinement: Confinement) -> None:
        bind = "--bind" if confinement.writable else "--ro-bind"
        source = workspace.path if workspace.tree is None else PLACE
        self._add(bind, str(source), WORKSPACE, "--chdir", WORKSPACE)
        for mount in workspace.mounts:
            if mount.cover is not None:
                self._cover(f"{WORKSPACE}/{mount.path}", mount.cover)
                continue
            kind = "--ro-bind" if mount.read_only or not confinement.writable else "--bind"
            self._add(kind, str(source / mount.path), f"{WORKSPACE}/{mount.path}")

    def _cover(self, place: str, cover: Cover) -> None:
        self._add("--perms", "0000")
        if cover is Cover.FILE:
            self._add("--ro-bind-data", str(self._data(b"")), place)
        else:
            self._add("--tmpfs", place, "--remount-ro", place)
