"""`agent` as a process with a home of its own, against a scripted server."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from wardian.models.scripted_server import Answer, ScriptedServer, stream_calls, stream_text

COMMAND = [sys.executable, "-P", "-m", "wardian"]


def environment(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    # Python does not notice that its own cache files are cut short where no file may grow.
    cut = {"PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **cut, "HOME": str(home.parent), "WARDIAN_HOME": str(home)}


def run(
    home: Path, *arguments: str, prepare: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """`agent` with that home; `prepare` is done in its process first."""
    workspace = home.parent / "workspace"
    workspace.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(home),
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        preexec_fn=prepare,
    )


def answers() -> list[Answer]:
    call = stream_calls([("write_file", {"path": "a.txt", "content": "x" * 100})])
    return [call, call, call, stream_text("Done.")]


def served(*given: Answer) -> ScriptedServer:
    return ScriptedServer(given)


def options(server: ScriptedServer) -> list[str]:
    return ["--base-url", server.base_url, "-m", "scripted", "--sandbox", "none"]
