"""Control groups: limits that the kernel keeps for a box as a whole, and what it counts there."""

import itertools
import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wardian_sandbox.cgroup_places import Place, find_place, groups_of, words_of
from wardian_sandbox.types import ResourceLimits

PREFIX = "wardian-"
SHARES_V1, WEIGHT_V2 = 512, 50
"""Half of what everything else has: the host comes first when both want the processor."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Counters:
    """What the kernel counted in a group since it was made."""

    killed_for_memory: int = 0
    refused_processes: int = 0
    cpu_seconds: float = 0.0


class Gauges:
    """What the kernel counts in a group, read again and again without opening anything."""

    def __init__(self, version: int, folders: dict[str, Path]) -> None:
        """`folders` are the group's own, by controller. Raises: OSError."""
        files = {"pids": folders["pids"] / "pids.events"}
        if version == 2:
            files["memory"] = folders["memory"] / "memory.events"
            files["cpu"] = folders["memory"] / "cpu.stat"
        else:
            files["memory"] = folders["memory"] / "memory.oom_control"
            if "cpuacct" in folders:
                files["cpu"] = folders["cpuacct"] / "cpuacct.usage"
        self._open: dict[str, int] = {}
        try:
            for name, file in files.items():
                self._open[name] = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.close()
            raise

    def events(self) -> tuple[bytes, bytes]:
        """Raw, to see at little cost whether there is anything new. Raises: OSError."""
        return os.pread(self._open["memory"], 4096, 0), os.pread(self._open["pids"], 4096, 0)

    def counters(self) -> Counters:
        """Raises: OSError."""
        memory, pids = self.events()
        seconds = 0.0
        if "cpu" in self._open:
            text = os.pread(self._open["cpu"], 4096, 0)
            in_v2 = re.search(rb"^usage_usec (\d+)", text, re.MULTILINE)
            seconds = int(in_v2[1]) / 1e6 if in_v2 else int(text) / 1e9
        return Counters(
            killed_for_memory=_field(memory, b"oom_kill"),
            refused_processes=_field(pids, b"max"),
            cpu_seconds=seconds,
        )

    def close(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()


def gauges_of(pid: int) -> Gauges | None:
    """The gauges of the groups a process is in; None where they cannot be seen."""
    place = groups_of(Path(f"/proc/{pid}"))
    with suppress(OSError):
        return None if place is None else Gauges(place.version, place.folders)
    return None


def admitted(pid: int, limits: ResourceLimits) -> "Group | None":
    """A new group with a process and its descendants in it; None where that cannot be had."""
    place = find_place()
    if place is None:
        return None
    try:
        group = Group(place, limits)
    except OSError:
        return None
    if group.admit(pid):
        return group
    group.remove()
    return None


class Group:
    """The control groups of one box."""

    def __init__(self, place: Place, limits: ResourceLimits) -> None:
        """Raises: OSError when a group cannot be made or limited."""
        self.place = place
        name = f"{PREFIX}{os.getpid()}-{_started(os.getpid())}-{next(_numbers)}"
        self._folders = {parent: parent / name for parent in place.folders.values()}
        try:
            for parent, folder in self._folders.items():
                _reap(parent)
                folder.mkdir()
            self._limit(limits)
            at = {controller: self._at(controller) for controller in place.folders}
            self.gauges = Gauges(place.version, at)
        except OSError:
            self._remove_folders()
            raise

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(self._folders.values())

    def admit(self, pid: int) -> bool:
        """Move a process and its descendants in; those they start from now on are in it too.

        False where the kernel refuses.
        """
        try:
            for folder in self._folders.values():
                _move(folder / "cgroup.procs", pid, set())
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """Send SIGKILL to all that is in it."""
        for word in words_of(self._at("pids") / "cgroup.procs"):
            with suppress(ProcessLookupError):
                os.kill(int(word), signal.SIGKILL)

    def remove(self) -> bool:
        """False while processes are still in it, dying perhaps."""
        self.gauges.close()
        return self._remove_folders()

    def _remove_folders(self) -> bool:
        for folder in self._folders.values():
            with suppress(FileNotFoundError):
                try:
                    folder.rmdir()
                except OSError:
                    return False
        return True

    def _at(self, controller: str) -> Path:
        return self._folders[self.place.folders[controller]]

    def _limit(self, limits: ResourceLimits) -> None:
        memory = str(limits.memory_bytes)
        # With bwrap and the supervisor: reached before the rlimit, which would tell nobody.
        (self._at("pids") / "pids.max").write_text(str(limits.processes))
        if self.place.version == 2:
            (self._at("memory") / "memory.max").write_text(memory)
            optional = [("memory", "memory.swap.max", "0"), ("cpu", "cpu.weight", str(WEIGHT_V2))]
        else:
            (self._at("memory") / "memory.limit_in_bytes").write_text(memory)
            optional = [
                ("memory", "memory.memsw.limit_in_bytes", memory),
                ("cpu", "cpu.shares", str(SHARES_V1)),
            ]
        for controller, name, value in optional:
            if controller in self.place.folders:
                with suppress(OSError):  # swap is not accounted, or the processor not controlled
                    (self._at(controller) / name).write_text(value)


def _move(procs: Path, pid: int, moved: set[int]) -> None:
    """A process first and then its children: one started meanwhile follows its parent."""
    with suppress(ProcessLookupError):
        procs.write_text(str(pid))
        moved.add(pid)
        for child in children_of(pid):
            if child not in moved:
                _move(procs, child, moved)


def children_of(pid: int) -> list[int]:
    """The processes that `pid` is the parent of; none once it is gone."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                text = (thread / "children").read_text()
                found += [int(word) for word in text.split()]
    return found


def _field(text: bytes, name: bytes) -> int:
    match = re.search(rb"^" + name + rb" (\d+)", text, re.MULTILINE)
    return int(match[1]) if match else 0


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; with its number it names it for good."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return fields[19].decode()


def _reap(parent: Path) -> None:
    """Remove the empty groups that processes which died left in `parent`."""
    with suppress(OSError):
        for folder in parent.glob(f"{PREFIX}*"):
            match = re.fullmatch(rf"{PREFIX}(\d+)-(\d+)-\d+", folder.name)
            if match and _started(int(match[1])) != match[2]:
                with suppress(OSError):
                    folder.rmdir()
