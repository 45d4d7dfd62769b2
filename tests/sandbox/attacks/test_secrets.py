"""Reading what is the host's: its environment, its processes, its descriptors, its files."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from wardian_sandbox import (
    Confinement,
    ExecResult,
    ResourceLimits,
)

Python = Callable[..., list[ExecResult]]
Shell = Callable[..., ExecResult]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))


def test_the_hosts_environment_is_nowhere(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDIAN_TEST_SECRET", "sk-wardian-secret")
    result = shell("cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; env")
    assert "sk-wardian-secret" not in result.output
    assert "AGENT=wardian" in result.output


def test_the_supervisor_cannot_be_looked_into(shell: Shell) -> None:
    for secret in ("environ", "mem", "maps", "fd", "root", "cwd"):
        assert shell(f"ls -l /proc/1/{secret}/ || cat /proc/1/{secret}").exit_code != 0
    assert shell("cat /proc/self/maps; ls /proc/self/fd").exit_code == 0


def test_no_descriptor_of_the_host_is_inherited(shell: Shell, python: Python) -> None:
    assert shell("cd /proc/self/fd; echo *").output == "0 1 2 3\n"  # 3 is the folder itself
    held = python("import os\n[os.readlink(f'/proc/self/fd/{n}') for n in (0, 1, 2, 3)]")[0].value
    assert held is not None
    assert [kind in held for kind in ("/dev/null", "pipe:", "socket:", "memfd")] == [
        *(True, True, True),
        False,
    ]


def test_the_users_files_are_not_there(shell: Shell, tmp_path: Path, workspace: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("private")
    attack = shell(f"cat {secret} {Path.home()}/.bashrc /etc/shadow /etc/machine-id")
    assert "private" not in attack.output
    assert len(re.findall("No such file|Permission denied", attack.output)) == 4
    assert shell(f"ls {Path.home()}").exit_code != 0
    assert shell("cat /workspace/notes.txt /etc/passwd").exit_code == 0
