"""Links, races and odd files, against the file operations done for a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from wardian_sandbox import (
    Confinement,
    ExecResult,
    FileFailure,
    ResourceLimits,
    SupervisedSandbox,
)

Python = Callable[..., list[ExecResult]]
Shell = Callable[..., ExecResult]
PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))


def test_links_planted_in_the_workspace_lead_nowhere(
    work: Callable[..., Any], tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("private")

    async def do(box: SupervisedSandbox) -> list[Any]:
        await box.shell(f"ln -s {secret} a; ln -s {tmp_path} b; ln -s /proc/self/root c", PLENTY)
        reads = [{"path": path} for path in ("a", "b/secret.txt", f"c{secret}", "c/etc/passwd")]
        writes = [{"path": path, "content": "x"} for path in ("a", "b/secret.txt", "b/new")]
        await box.shell("ln -s notes.txt good", PLENTY)
        return [
            *[await box.file("read", arguments, PLENTY) for arguments in reads],
            *[await box.file("write", arguments, PLENTY) for arguments in writes],
            await box.file("read", {"path": "good"}, PLENTY),
        ]

    *attacks, twin = work(do)
    assert {attack.code for attack in attacks} == {"outside"}
    assert twin["total_lines"] == 3
    assert secret.read_text() == "private"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.txt", "workspace"]


def test_a_racer_that_swaps_links_gets_nothing_out(
    work: Callable[..., Any], tmp_path: Path, workspace: Path
) -> None:
    """A folder that is now a folder and now a link out of the workspace."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "f").write_text("private")
    race = (
        "import os, threading\nos.makedirs('real', exist_ok=True)\n"
        "open('real/f', 'w').write('mine')\n"
        f"os.symlink({str(tmp_path / 'target')!r}, 'bad')\nos.symlink('real', 'flip')\n"
        "def spin():\n    while True:\n        for to in ('bad', 'real'):\n"
        "            os.symlink(to, 'tmp'); os.rename('tmp', 'flip')\n"
        "threading.Thread(target=spin, daemon=True).start()"
    )

    async def do(box: SupervisedSandbox) -> list[Any]:
        await box.python(race, PLENTY)
        results: list[Any] = []
        for _ in range(40):
            results.append(await box.file("read", {"path": "flip/f"}, PLENTY))
            results.append(await box.file("write", {"path": "flip/f", "content": "mine"}, PLENTY))
        return results

    results = work(do)
    texts = {r["text"] for r in results if not isinstance(r, FileFailure) and "text" in r}
    assert texts <= {"mine", ""}
    assert any(not isinstance(result, FileFailure) for result in results)
    assert (tmp_path / "target" / "f").read_text() == "private"
