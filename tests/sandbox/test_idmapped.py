"""Root's workspace, mounted with ids mapped."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import Confinement, SupervisedSandbox, open_sandbox
from wardian_sandbox.idmapped import mapped

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root's workspace is mapped")

WITHIN = Confinement(protected=(".git/hooks/**",))
OTHER = 65534
Do = Callable[[SupervisedSandbox], Coroutine[Any, Any, Any]]


def in_box(folder: Path, do: Do, within: Confinement = WITHIN) -> tuple[str, Any]:
    """The mode of the workspace, and what came of `do`."""

    async def work() -> tuple[str, Any]:
        async with await open_sandbox("bubblewrap", folder, within) as box:
            return box.identity.detail["workspace"], await do(box)

    return asyncio.run(work())


@pytest.fixture
def ramfs(tmp_path: Path) -> Iterator[Path]:
    """A file system that cannot be mapped."""
    folder = tmp_path / "ramfs"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "ramfs", "none", folder], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def can_map(tmp_path: Path) -> None:
    """Skips on a file system that this kernel cannot map, such as that of a container."""
    try:
        os.close(mapped(tmp_path, OTHER))
    except OSError as problem:
        pytest.skip(f"the file system of {tmp_path} cannot be mapped: {problem.strerror}")


@pytest.mark.usefixtures("can_map")
def test_roots_folder_is_worked_on_itself_and_stays_roots(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "mine").write_text("1")
    (tmp_path / "mine").chmod(0o600)
    command = "id -u; cat mine; echo x > new; echo 2 > mine; ls -n mine | cut -d' ' -f3"
    mode, result = in_box(tmp_path, lambda box: box.shell(command, WITHIN))
    assert (mode, result.output) == ("mount", "1000\n11000\n")
    assert {path.stat().st_uid for path in tmp_path.rglob("*")} == {0}
    assert (tmp_path / "mine").read_text() == "2\n"


@pytest.mark.usefixtures("can_map")
def test_somebody_elses_folder_stays_theirs(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER, OTHER)
    mode, _ = in_box(tmp_path, lambda box: box.shell("mkdir -p a; echo x > a/new", WITHIN))
    assert mode == "mount"
    assert {path.stat().st_uid for path in tmp_path.rglob("*")} == {OTHER}


@pytest.mark.usefixtures("can_map")
def test_files_of_other_owners_cannot_be_changed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("theirs")
    os.chown(other, OTHER, OTHER)
    other.chmod(0o666)
    command = "cat other; echo x >> other; chmod 777 other; echo $?"
    mode, result = in_box(tmp_path, lambda box: box.shell(command, WITHIN))
    assert mode == "mount"
    assert result.output.startswith("theirs")
    assert result.output.endswith("1\n")
    assert (other.read_text(), other.stat().st_mode & 0o777) == ("theirs", 0o666)


@pytest.mark.parametrize("bits", ["u+s", "g+s", "4755", "2755"])
def test_nothing_set_user_id_is_left_in_roots_folder(tmp_path: Path, bits: str) -> None:
    command = f"cp /bin/true t; chmod {bits} t; install -m 4755 /bin/true t2"
    in_box(tmp_path, lambda box: box.shell(command, WITHIN))
    assert (tmp_path / "t").exists()
    assert not any(path.stat().st_mode & 0o6000 for path in tmp_path.rglob("*"))
    subprocess.run(f"cd {tmp_path}; chmod {bits} t", shell=True, check=True)
    assert (tmp_path / "t").stat().st_mode & 0o6000, "the control: root can"


@pytest.mark.usefixtures("can_map")
def test_the_mount_is_seen_by_nobody_else_and_goes_with_the_box(tmp_path: Path) -> None:
    def mounts() -> list[str]:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line for line in lines if tmp_path.name in line]

    async def look(_: SupervisedSandbox) -> list[str]:
        return mounts()

    assert in_box(tmp_path, look) == ("mount", [])
    assert mounts() == []
    for thread in threading.enumerate():
        if thread.name == "wardian-box":
            thread.join(10)
            assert not thread.is_alive()


def test_where_ids_cannot_be_mapped_the_folder_is_carried(ramfs: Path) -> None:
    (ramfs / "mine").write_text("1")
    mode, _ = in_box(ramfs, lambda box: box.shell("echo 2 > mine; echo x > new", WITHIN))
    assert mode == "synchronised"
    assert (ramfs / "mine").read_text() == "2\n"
    assert {path.stat().st_uid for path in ramfs.rglob("*")} == {0}
