"""The inner layer alone, where nothing else stands in the way; and in a box."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wardian_sandbox import ExecResult, SupervisedSandbox
from wardian_sandbox.inner import landlock

pytestmark = pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")

CONFINED = """
import ctypes, os, sys
from wardian_sandbox.inner import landlock
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
if sys.argv[1] == "confined":
    assert landlock.prepare([sys.argv[2]]) > 0
    landlock.confine()
folder = sys.argv[3]
try:
    exec(sys.argv[4])
    print("done")
except PermissionError:
    print("refused")
"""
TRUNCATE_SINCE = 3
"""ABI. Source: landlock(7)."""
ACTS = {
    "write": "open(folder + '/old', 'w')",
    "append": "open(folder + '/old', 'a').write('x')",
    "truncate": "os.truncate(folder + '/old', 0)",
    "create": "open(folder + '/new', 'w')",
    "make a folder": "os.mkdir(folder + '/new')",
    "make a link": "os.symlink('old', folder + '/new')",
    "make a hard link": "os.link(folder + '/old', folder + '/new')",
    "make a pipe": "os.mkfifo(folder + '/new')",
    "rename": "os.rename(folder + '/old', folder + '/new')",
    "remove": "os.unlink(folder + '/old')",
    "remove a folder": "os.rmdir(folder + '/empty')",
}


@pytest.fixture
def place() -> Iterator[Path]:
    """Not below /tmp, which every box may write."""
    with tempfile.TemporaryDirectory(prefix="wardian-test-", dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("act", ACTS)
def test_nothing_is_written_but_where_it_may_be(place: Path, act: str) -> None:
    if act == "truncate" and landlock.version() < TRUNCATE_SINCE:
        pytest.skip("this kernel's Landlock knows no right to truncate: Linux has it from 6.2 on")

    def outcome(way: str, where: str) -> str:
        folder = place / way / where
        (folder / "empty").mkdir(parents=True)
        (folder / "old").write_text("kept")
        command = [sys.executable, "-c", CONFINED, way, str(place / way / "may")]
        done = subprocess.run(
            [*command, str(folder), ACTS[act]], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert outcome("confined", "other") == "refused"
    assert outcome("confined", "may") == "done"
    assert outcome("unconfined", "other") == "done"


@pytest.fixture
def backend() -> str:
    return "bubblewrap"


def test_a_box_says_that_it_is_in_force(work: Callable[..., tuple[str, ...]]) -> None:
    async def do(box: SupervisedSandbox) -> tuple[str, ...]:
        return box.identity.enforced

    assert "landlock" in work(do)


def test_files_move_between_folders_of_the_workspace(
    shell: Callable[..., ExecResult],
) -> None:
    command = "mkdir -p a b; echo x > a/f; mv a/f b/; ln b/f a/g; cat a/g; rm -r a b; echo ok"
    assert shell(command).output == "x\nok\n"
    for place in ("/tmp", "/dev/shm", "~"):
        assert shell(f"cd {place} && {command}").output == "x\nok\n"
