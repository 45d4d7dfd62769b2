"""`agent` as a process of its own, without a terminal."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

COMMAND = [sys.executable, "-P", "-m", "wardian"]
Command = Callable[..., subprocess.CompletedProcess[str]]


def bare_environment() -> dict[str, str]:
    """What a process needs of the developer's environment, and nothing else of it."""
    return {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}


def command(environment: Mapping[str, str], folder: Path) -> Command:
    """`agent(*arguments)` with this environment, in this folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
