"""A workspace, and boxes around it. Every backend this machine has is tested."""

import asyncio
import importlib.util
import json
import os
import shutil
import sys
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
from wardian_sandbox.docker.engine import Engine, find_engine
from wardian_sandbox.docker.leftovers import OWNER, PROJECT
from wardian_sandbox.docker.probing import runtimes

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


@pytest.fixture(params=["bubblewrap", "docker", "gvisor", "none"])
def backend(request: pytest.FixtureRequest, prepared: Callable[[str], str]) -> str:
    """Every backend; overridden where only some are meant."""
    return prepared(str(request.param))


@pytest.fixture
def prepared(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """`prepared(backend)`: its name, once it can be used here; skips where it cannot be had."""

    def preparing(name: str) -> str:
        if name in ("docker", "gvisor"):
            request.getfixturevalue("docker_image")
        if name == "gvisor":
            request.getfixturevalue("gvisor")
        return name

    return preparing


@pytest.fixture(scope="session")
def gvisor(docker: Engine) -> None:
    if "runsc" not in asyncio.run(runtimes(docker)):
        pytest.skip("the Docker daemon has no runtime runsc")


@pytest.fixture
def family(backend: str) -> Callable[..., list[int]]:
    """`family(pid)`: the processes of its boxes, by default of this process's, that are alive."""

    def finding(pid: int = os.getpid()) -> list[int]:
        roots = [pid, *(containers_of(pid) if backend in ("docker", "gvisor") else [])]
        return [one for one in processes() if one != pid and any(is_in(one, top) for top in roots)]

    return finding


def containers_of(owner: int) -> list[int]:
    """The first process of each container that boxes of `owner` run in."""
    engine = find_engine()
    wanted = json.dumps({"label": [f"{PROJECT}=wardian"]})
    mine = [
        found["Id"]
        for found in engine.call("GET", "/containers/json", filters=wanted)
        if found["Labels"][OWNER].startswith(f"{owner} ")
    ]
    states = [engine.call("GET", f"/containers/{one}/json")["State"] for one in mine]
    return [state["Pid"] for state in states if state["Pid"]]


def processes() -> set[int]:
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()}


def is_in(pid: int, ancestor: int) -> bool:
    """Is it `ancestor`, or descended from it?"""
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return False
        pid = int(fields[1])
    return False


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


@pytest.fixture(scope="session")
def support() -> Any:
    """The module tests/support/outside.py."""
    path = Path(__file__).parents[1] / "support" / "outside.py"
    spec = importlib.util.spec_from_file_location("outside", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["outside"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def outside(support: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Servers that stand for the internet: an `Outside`."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")
    with support.Outside(tmp_path_factory.mktemp("outside")) as servers:
        yield servers
