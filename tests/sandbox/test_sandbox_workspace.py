"""What becomes of changes to the workspace: mounted, kept the same as a copy, or held back."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import (
    Confinement,
    FileChange,
    ResourceLimits,
    SandboxError,
    SupervisedSandbox,
    copied,
    snapshot,
)

PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))
Work = Callable[..., Any]
CHANGE = "rm notes.txt; echo new > new.txt; echo more >> src/main.py; mkdir -p a/b; echo x > a/b/c"
CHANGES = (
    FileChange(path="a/b/c", kind="added"),
    FileChange(path="new.txt", kind="added"),
    FileChange(path="notes.txt", kind="deleted"),
    FileChange(path="src/main.py", kind="modified"),
)


def contents(workspace: Path) -> dict[str, str]:
    files = (path for path in workspace.rglob("*") if path.is_file())
    return {str(path.relative_to(workspace)): path.read_text() for path in files}


AFTER = {
    ".hidden": "not shown\n",
    "a/b/c": "x\n",
    "new.txt": "new\n",
    "src/main.py": "print('hello')\nmore\n",
}


def test_changes_are_there_when_the_call_is_over(work: Work, workspace: Path) -> None:
    async def do(box: SupervisedSandbox) -> dict[str, str]:
        await box.shell(CHANGE, PLENTY)
        return contents(workspace)

    assert work(do) == AFTER


def test_the_diff_names_what_changed(work: Work) -> None:
    async def do(box: SupervisedSandbox) -> tuple[FileChange, ...]:
        assert await box.diff() == ()
        await box.shell(CHANGE, PLENTY)
        return await box.diff()

    assert work(do) == CHANGES


def test_a_change_made_outside_meanwhile_is_seen_inside(work: Work, workspace: Path) -> None:
    async def do(box: SupervisedSandbox) -> str:
        (workspace / "notes.txt").write_text("edited by hand\n")
        (workspace / "src" / "main.py").unlink()
        return (await box.shell("cat notes.txt; echo src/*", PLENTY)).output

    assert work(do) == "edited by hand\nsrc/*\n"
    assert (workspace / "notes.txt").read_text() == "edited by hand\n"


def test_files_that_nobody_changed_are_left_as_they_are(work: Work, workspace: Path) -> None:
    before = (workspace / ".hidden").stat()
    work(lambda box: box.shell(CHANGE, PLENTY))
    after = (workspace / ".hidden").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_copy_keeps_its_changes_until_they_are_applied(work: Work, workspace: Path) -> None:
    before = contents(workspace)

    async def do(box: SupervisedSandbox) -> tuple[FileChange, ...]:
        await box.shell(CHANGE, PLENTY)
        assert contents(workspace) == before
        assert await box.diff() == CHANGES
        return await box.apply()

    assert work(do, PLENTY, "copy") == CHANGES
    assert contents(workspace) == AFTER


def test_a_copy_that_is_closed_leaves_the_original(work: Work, workspace: Path) -> None:
    before = contents(workspace)
    work(lambda box: box.shell(CHANGE, PLENTY), PLENTY, "copy")
    assert contents(workspace) == before


def test_a_folder_made_unreadable_inside_is_not_taken_for_deleted(
    work: Work, workspace: Path
) -> None:
    async def do(box: SupervisedSandbox) -> None:
        await box.shell("chmod 000 src", PLENTY)
        if os.geteuid() == 0:
            await box.apply()
        else:
            with pytest.raises(SandboxError, match="chmod"):
                await box.apply()

    work(do, PLENTY, "copy")
    (workspace / "src").chmod(0o755)
    assert (workspace / "src" / "main.py").exists()


def test_modes_and_links_are_brought_out(work: Work, workspace: Path) -> None:
    (workspace / "notes.txt").chmod(0o600)
    work(
        lambda box: box.shell("chmod +x src/main.py; ln -s notes.txt l; echo >> notes.txt", PLENTY)
    )
    assert (workspace / "src" / "main.py").stat().st_mode & 0o111
    assert (workspace / "l").readlink() == Path("notes.txt")
    assert stat.S_IMODE((workspace / "notes.txt").stat().st_mode) == 0o600


def test_what_replaces_a_folder_or_a_file_is_brought_out(work: Work, workspace: Path) -> None:
    work(lambda box: box.shell("rm -r src; echo x > src; rm notes.txt; mkdir notes.txt", PLENTY))
    assert (workspace / "src").read_text() == "x\n"
    assert (workspace / "notes.txt").is_dir()


def test_a_read_only_workspace_cannot_be_written(work: Work, workspace: Path) -> None:
    closed = Confinement(writable=(), limits=ResourceLimits(wall_seconds=30.0))

    async def do(box: SupervisedSandbox) -> Any:
        if box.identity.backend == "bubblewrap":
            assert "Read-only" in (await box.shell("echo x > notes.txt", closed)).output
        return await box.file("write", {"path": "notes.txt", "content": "x"}, closed)

    assert work(do, closed).code == "denied"
    assert (workspace / "notes.txt").read_text() == "alpha\nbeta\ngamma\n"


def test_a_workspace_too_large_to_copy_is_refused_with_a_remedy(
    work: Work, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copied, "MAX_BYTES", 10)
    with pytest.raises(SandboxError, match="--workspace"):
        work(lambda box: box.diff(), PLENTY, "copy")
    monkeypatch.setattr(snapshot, "MAX_FILES", 2)
    with pytest.raises(SandboxError, match="--workspace"):
        work(lambda box: box.diff(), PLENTY, "copy")


def test_a_deep_tree_is_removed_with_the_copy(work: Work, staging: Path) -> None:
    code = "import os\nfor n in range(2000):\n    os.mkdir('d'); os.chdir('d')"
    work(lambda box: box.python(code, PLENTY), PLENTY, "copy")
    assert list(staging.iterdir()) == []
