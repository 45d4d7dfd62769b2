"""Run by root: the same sandbox for somebody who is not, who has the workspace itself mounted.

Run by anybody else, the other tests are this test.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import wardian_sandbox

NOBODY = 65534
PYTHON = "/usr/bin/python3"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="run by an ordinary user already")
SCRIPT = """
import asyncio, os, sys
from pathlib import Path
from wardian_sandbox import Confinement, Egress, open_sandbox, probe
from wardian_sandbox.types import Job

within = Confinement()

async def main():
    folder = Path(sys.argv[1])
    async with await open_sandbox("auto", folder, within) as box:
        assert box.identity.detail["workspace"] == "mount", box.identity
        assert box.identity.detail["runs_as"] == os.geteuid(), box.identity
        assert (await box.python("20 + 22", within)).value == "42"
        result = await box.shell("id -u; echo new > new.txt; cat /proc/1/environ", within)
        assert result.output.startswith("1000") and "Permission denied" in result.output, result
        assert (folder / "new.txt").read_text() == "new\\n"
        assert (folder / "new.txt").stat().st_uid == os.geteuid()
        written = await box.file("write", {"path": "a/b.txt", "content": "x"}, within)
        assert written == {"size_bytes": 1, "created": True}, written
        assert [change.path for change in await box.diff()] == ["a/b.txt", "new.txt"]
        attacks = ("chmod u+s new.txt", "echo 1 > /proc/sys/kernel/core_pattern",
                   "unshare -U true", "echo > /dev/tcp/192.0.2.1/80")
        for attack in attacks:
            assert (await box.shell(attack, within)).exit_code != 0, attack
        job = Job(function="builtins:repr", arguments={}, seconds=20)
        done = await box.job(job, Egress(hosts=("a.example",)))
        assert done.value.startswith("Way("), done
    async with await open_sandbox("auto", folder, within, mode="copy") as box:
        await box.shell("echo changed > new.txt; mkdir -m 000 shut", within)
        assert (folder / "new.txt").read_text() == "new\\n"
    assert all(finding.ok for finding in await probe()), await probe()
    print("passed")

asyncio.run(main())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of nobody's, with a copy of the package that nobody can read."""
    with tempfile.TemporaryDirectory(prefix="wardian-nobody-", dir="/tmp") as folder:
        package = Path(str(wardian_sandbox.__file__)).parent
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, Path(folder, package.name), ignore=ignored)
        for name in ("workspace", "tmp"):
            Path(folder, name).mkdir()
        for path in (Path(folder), *Path(folder).rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        yield Path(folder)


def system_python_is_too_old() -> bool:
    command = [PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    return subprocess.run(command, check=False).returncode != 0


def test_an_ordinary_user_is_confined_as_well(place: Path) -> None:
    # The interpreter that runs this may lie in root's home.
    interpreter = sys.executable if can_nobody_run(sys.executable) else PYTHON
    if interpreter == PYTHON and system_python_is_too_old():
        pytest.skip("no Python of 3.11 or later that nobody can run")
    result = subprocess.run(
        [interpreter, "-c", SCRIPT, str(place / "workspace")],
        env={"PYTHONPATH": str(place), "TMPDIR": str(place / "tmp"), "PATH": "/usr/bin:/bin"},
        cwd=place,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout, result.returncode) == ("passed\n", 0), result.stderr
    assert list((place / "tmp").iterdir()) == []


def can_nobody_run(program: str) -> bool:
    # A virtual environment's interpreter is a link: the way to it counts, and the way it leads.
    ways = (Path(program).absolute(), Path(program).resolve())
    return all(f.stat().st_mode & 0o001 for way in ways for f in (way, *way.parents))
