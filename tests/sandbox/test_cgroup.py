"""Where control groups can be made, read off what the kernel shows; and real ones, if they can."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wardian_sandbox import ResourceLimits
from wardian_sandbox.cgroup import Group, gauges_of
from wardian_sandbox.cgroup_places import find_place

V1 = ("memory", "pids", "cpu", "cpuacct")


class Machine:
    """A folder with what `find_place` reads: /proc/self/… and a tree of groups."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.top = folder / "groups with space"
        self.proc.mkdir()
        self.top.mkdir()

    def mounts(self, *mounts: tuple[str, Path, str, str]) -> None:
        """(kind, mount point, root, options)"""
        lines: list[str] = []
        for kind, point, root, options in mounts:
            written = str(point).replace(" ", r"\040")
            lines.append(f"30 23 0:26 {root} {written} rw - {kind} none {options}\n")
        (self.proc / "mountinfo").write_text("".join(lines))

    def own(self, *lines: str) -> None:
        (self.proc / "cgroup").write_text("\n".join(lines) + "\n")

    def group(self, path: str, controllers: str, switched_on: str, processes: str = "") -> Path:
        folder = self.top / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.controllers").write_text(controllers)
        (folder / "cgroup.subtree_control").write_text(switched_on)
        (folder / "cgroup.procs").write_text(processes)
        return folder


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_version_2_takes_the_nearest_group_with_controllers(machine: Machine) -> None:
    machine.mounts(("cgroup2", machine.top, "/", "rw"))
    machine.own("0::/user/app.slice/run.scope")
    machine.group("", "memory pids cpu", "memory pids")
    machine.group("user", "memory pids", "memory pids")
    slice_ = machine.group("user/app.slice", "memory pids cpu", "memory pids cpu")
    machine.group("user/app.slice/run.scope", "memory pids cpu", "", "123\n")
    place = find_place(machine.proc)
    assert place is not None
    assert place.version == 2
    assert set(place.folders.values()) == {slice_}


def test_version_2_without_controllers_gives_no_place(machine: Machine) -> None:
    machine.mounts(("cgroup2", machine.top, "/", "rw"))
    machine.own("0::/container")
    machine.group("", "", "")
    machine.group("container", "cpuset", "", "1\n")
    assert find_place(machine.proc) is None


def test_a_namespace_that_shows_only_its_own_part_is_understood(machine: Machine) -> None:
    machine.mounts(("cgroup2", machine.top, "/docker/abc", "rw"))
    machine.own("0::/docker/abc/inner")
    machine.group("", "memory pids", "memory pids")
    inner = machine.group("inner", "memory pids", "memory pids")
    place = find_place(machine.proc)
    assert place is not None
    assert place.folders["memory"] == inner
    machine.own("0::/somewhere/else")
    assert find_place(machine.proc) is None


def test_version_1_wants_memory_and_processes(machine: Machine) -> None:
    mounts = [("cgroup", machine.top / name, "/", f"rw,{name}") for name in V1]
    for _, point, _, _ in mounts:
        (point / "own").mkdir(parents=True)
    machine.own(*(f"{n}:{name}:/own" for n, name in enumerate(V1, 1)), "0::/")
    machine.mounts(*mounts)
    place = find_place(machine.proc)
    assert place is not None
    assert place.version == 1
    assert place.folders == {name: machine.top / name / "own" for name in V1}
    machine.mounts(*mounts[1:])
    assert find_place(machine.proc) is None


def test_nothing_to_read_gives_no_place(tmp_path: Path) -> None:
    assert find_place(tmp_path) is None


@pytest.fixture
def group() -> Iterator[Group]:
    place = find_place()
    if place is None:
        pytest.skip("this user may make no control group here")
    group = Group(place, ResourceLimits(memory_bytes=64 << 20, processes=8))
    yield group
    group.kill()
    while not group.remove():
        pass


HOLD = "import sys, subprocess\np = subprocess.Popen(['sleep', '60'])\nprint(flush=True)\np.wait()"


def test_a_process_is_admitted_with_its_children(group: Group) -> None:
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert group.admit(parent.pid)
        for folder in group.folders:
            assert len((folder / "cgroup.procs").read_text().split()) == 2
        seen = gauges_of(parent.pid)
        assert seen is not None
        assert seen.counters().killed_for_memory == 0
        seen.close()
        group.kill()
        assert parent.wait() == -9


def test_the_kernel_counts_what_it_kills_and_refuses(group: Group) -> None:
    code = (
        "import os, sys\nsys.stdin.readline()\n"
        "try:\n    for _ in range(20): os.fork()\n"
        "except OSError: pass\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as bomb:
        assert group.admit(bomb.pid)
        bomb.communicate(b"\n")
    assert group.gauges.counters().refused_processes > 0
    eat = "import sys\nsys.stdin.readline()\nx = bytearray(256 << 20)"
    with subprocess.Popen([sys.executable, "-c", eat], stdin=subprocess.PIPE) as eater:
        assert group.admit(eater.pid)
        eater.communicate(b"\n")
    assert eater.returncode == -9
    assert group.gauges.counters().killed_for_memory > 0


def test_a_process_that_is_gone_is_no_error(group: Group) -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert group.admit(child.pid)


def test_groups_of_the_dead_are_removed_with_the_next(group: Group) -> None:
    left = [folder.parent / "wardian-1-1-1" for folder in group.folders]
    for folder in left:
        folder.mkdir()
    Group(group.place, ResourceLimits()).remove()
    assert not any(folder.exists() for folder in left)
    assert all(folder.exists() for folder in group.folders)
