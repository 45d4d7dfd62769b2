"""What the workspace carries out of the box, and what it must not."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wardian_sandbox import (
    Confinement,
    ExecResult,
    ResourceLimits,
    SupervisedSandbox,
)

Python = Callable[..., list[ExecResult]]
Shell = Callable[..., ExecResult]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))


def test_no_file_becomes_set_user_id(shell: Shell, workspace: Path) -> None:
    attacks = (
        "cp /bin/true a && chmod u+s a",
        "cp /bin/true b && chmod 2755 b",
        "python3 -c \"import os; os.close(os.open('c', os.O_CREAT | os.O_WRONLY, 0o4755))\"",
        "python3 -c \"import os; os.mknod('d', 0o104755)\"",
        "install -m 4755 /bin/true e",
    )
    for attack in attacks:
        assert "not permitted" in shell(attack).output
    assert shell("cp /bin/true good && chmod 755 good").exit_code == 0
    modes = [path.lstat().st_mode for path in workspace.rglob("*")]
    assert not any(mode & 0o6000 for mode in modes)
    assert os.access(workspace / "good", os.X_OK)


def test_a_protected_path_cannot_be_written_by_code(
    work: Callable[..., Any], workspace: Path
) -> None:
    (workspace / ".git").mkdir()
    (workspace / ".git" / "config").write_text("original")
    within = Confinement(protected=(".git/**",), limits=ResourceLimits(wall_seconds=30.0))
    command = "echo evil > .git/config; echo evil > .git/hooks; mv .git moved; echo fine > other"
    work(lambda box: box.shell(command, within), within)
    assert (workspace / ".git" / "config").read_text() == "original"
    assert not (workspace / ".git" / "hooks").exists()
    assert not (workspace / "moved").exists()
    assert (workspace / "other").read_text() == "fine\n"


def test_special_files_and_planted_links_harm_nothing_outside(
    work: Callable[..., Any], tmp_path: Path, workspace: Path
) -> None:
    (tmp_path / "secret.txt").write_text("private")
    command = (
        f"mkfifo pipe; rm -r src; ln -s {tmp_path} src; "
        "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('sock')\"; echo y > plain"
    )

    async def do(box: SupervisedSandbox) -> None:
        await box.shell(command, PLENTY)
        await box.shell("echo z > src/planted; echo w > plain", PLENTY)

    work(do)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.txt", "workspace"]
    assert (workspace / "plain").read_text() == "w\n"
    assert (workspace / "src").is_symlink()
