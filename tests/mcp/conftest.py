"""Real servers in real boxes: one of the standard library that misbehaves, one of the SDK's."""

import os
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian_sandbox.diagnosis import find_bwrap, user_namespace_problem
from wardian_sandbox.errors import SandboxError
from wardian_tools.mcp.definitions import Definition
from wardian_tools.mcp.entries import Entry
from wardian_tools.mcp.setting import Setting

HERE = Path(__file__).parent
RAW = str(HERE / "servers" / "raw.py")
SDK = str(HERE / "servers" / "sdk.py")
PYTHON = "/usr/bin/python3"
MakeEntry = Callable[..., Entry]


@pytest.fixture(autouse=True)
def needs_a_box(request: pytest.FixtureRequest) -> None:
    """Tests that start a server need bubblewrap; those of data do not."""
    if "setting" not in request.fixturenames:
        return
    try:
        find_bwrap()
        problem = user_namespace_problem()
    except SandboxError as error:
        pytest.skip(f"no bubblewrap: {error}")
    if problem:
        pytest.skip(f"no bubblewrap: {problem[0]}")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.txt").write_text("one\n")
    return folder


@pytest.fixture
def setting(workspace: Path) -> Setting:
    return Setting(environ={"TOKEN": "t0ken", "OTHER": "0ther"}, workspace=workspace)


@pytest.fixture
def mark(tmp_path: Path) -> str:
    """A word for command lines by which a test knows its own processes from all others."""
    return f"{tmp_path.name}-{time.time_ns()}"


@pytest.fixture
def raw(mark: str) -> MakeEntry:
    """`raw("mode", …, key=value)`: the misbehaving server, in a box of its own."""

    def make(*modes: str, **more: Any) -> Entry:
        options: dict[str, Any] = {
            "readable": (RAW,),
            "start_seconds": 20.0,
            "timeout_seconds": 20.0,
        } | more
        return Entry(name="raw", command=PYTHON, args=(RAW, mark, *modes), **options)

    return make


@pytest.fixture
def raw_tools() -> tuple[Definition, ...]:
    """What the misbehaving server offers while it behaves."""
    number = {"type": "number"}
    properties = {"a": number, "b": number}
    add = {"type": "object", "properties": properties, "required": ["a", "b"]}
    say = {"type": "object", "properties": {"text": {"type": "string"}}}
    return (
        Definition(name="add", description="Add two numbers.", schema=add),
        Definition(name="say", description="Say a text again.", schema=say),
    )


def packages_of_this_python() -> tuple[str, ...]:
    """What a box has to see for this interpreter to run in it with its packages."""
    places = {sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), str(HERE)}
    places |= {path for path in os.environ.get("PYTHONPATH", "").split(":") if path}
    shown = sorted(str(Path(place).absolute()) for place in places if Path(place).exists())
    return tuple(p for p in shown if not Path(p).is_relative_to("/usr"))


@pytest.fixture
def sdk() -> MakeEntry:
    """The SDK's own server, run by this Python in a box."""

    def make(**more: Any) -> Entry:
        options: dict[str, Any] = {
            "readable": packages_of_this_python(),
            "timeout_seconds": 30.0,
        } | more
        return Entry(name="sdk", command=sys.executable, args=(SDK,), **options)

    return make
