"""A workspace, and boxes around it. Every backend this machine has is tested."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox import (
    Confinement,
    ExecResult,
    FileFailure,
    ResourceLimits,
    SupervisedSandbox,
    open_sandbox,
)

PLENTY = Confinement(limits=ResourceLimits(wall_seconds=30.0))
Work = Callable[[SupervisedSandbox], Awaitable[Any]]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "notes.txt").write_text("alpha\nbeta\ngamma\n")
    (folder / "src").mkdir()
    (folder / "src" / "main.py").write_text("print('hello')\n")
    (folder / ".hidden").write_text("not shown\n")
    return folder


@pytest.fixture
def staging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where copies are made: a temporary folder of this test's own that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="wardian-test-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture(params=["bubblewrap", "none"])
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend; overridden where only one is meant."""
    return str(request.param)


@pytest.fixture
def work(backend: str, workspace: Path) -> Callable[..., Any]:
    """`work(do, within, mode)`: what `do(box)` gives, in a new box."""

    def working(do: Work, within: Confinement = PLENTY, mode: str = "mount") -> Any:
        async def scenario() -> Any:
            async with await open_sandbox(backend, workspace, within, mode=mode) as box:
                return await do(box)

        return asyncio.run(scenario())

    return working


@pytest.fixture
def python(work: Callable[..., Any]) -> Callable[..., list[ExecResult]]:
    """`python(*cells, within=…)`: the results of cells run one after another in one box."""

    def running(*cells: str, within: Confinement = PLENTY) -> list[ExecResult]:
        async def do(box: SupervisedSandbox) -> list[ExecResult]:
            return [await box.python(cell, within) for cell in cells]

        results: list[ExecResult] = work(do, within)
        return results

    return running


@pytest.fixture
def shell(work: Callable[..., Any]) -> Callable[..., ExecResult]:
    """`shell(command, within=…)`: its result, in a new box."""

    def running(command: str, within: Confinement = PLENTY) -> ExecResult:
        result: ExecResult = work(lambda box: box.shell(command, within), within)
        return result

    return running


@pytest.fixture
def file(work: Callable[..., Any]) -> Callable[..., Any]:
    """`file(operation, within=…, **arguments)`: its result, in a new box."""

    def doing(
        operation: str, within: Confinement = PLENTY, **arguments: Any
    ) -> dict[str, Any] | FileFailure:
        result: dict[str, Any] | FileFailure = work(
            lambda box: box.file(operation, arguments, within)
        )
        return result

    return doing
