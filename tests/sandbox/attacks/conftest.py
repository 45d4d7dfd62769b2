"""Attacks, each with its control: the same code where nothing confines it.

`python` and `shell` run in a box of each confining backend; `unconfined_python` and
`unconfined_shell` run the same through the same supervisor as a plain process of the user's (the
backend `none`); `on_host` runs a plain interpreter with nothing of ours in it.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wardian_sandbox import Confinement, ExecResult, ResourceLimits, open_sandbox

PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))
CONFINING = ("bubblewrap",)
"""Every backend that is to hold against a hostile guest."""
OnHost = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=CONFINING)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def plain_folder(tmp_path: Path) -> Path:
    """Where controls run; not the workspace, so that neither sees what the other did."""
    folder = tmp_path / "plain"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def unconfined_python(plain_folder: Path) -> Callable[..., list[ExecResult]]:
    """`unconfined_python(*cells, within=…)`: the control of `python`."""

    def running(*cells: str, within: Confinement = PLENTY) -> list[ExecResult]:
        async def scenario() -> list[ExecResult]:
            async with await open_sandbox("none", plain_folder, within) as box:
                return [await box.python(cell, within) for cell in cells]

        return asyncio.run(scenario())

    return running


@pytest.fixture
def unconfined_shell(plain_folder: Path) -> Callable[..., ExecResult]:
    """`unconfined_shell(command, within=…)`: the control of `shell`."""

    def running(command: str, within: Confinement = PLENTY) -> ExecResult:
        async def scenario() -> ExecResult:
            async with await open_sandbox("none", plain_folder, within) as box:
                return await box.shell(command, within)

        return asyncio.run(scenario())

    return running


@pytest.fixture
def on_host(plain_folder: Path) -> OnHost:
    """`on_host(code, env=…)`: what a plain interpreter on the host makes of the same code."""

    def running(code: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", "-c", code],
            capture_output=True,
            text=True,
            errors="replace",
            cwd=plain_folder,
            env=env,
            timeout=60,
            check=False,
        )

    return running
