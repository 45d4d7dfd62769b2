"""An agent whose model is a function, on a workspace of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent
from wardian.models.function import FunctionModel
from wardian.types import Request

MakeAgent = Callable[..., Agent[Any]]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "notes.txt").write_text("as it was\n")
    return folder


@pytest.fixture
def make_agent(tmp_path: Path, workspace: Path) -> MakeAgent:
    """`make_agent(function, **options)`: without tools unless they are given."""

    def making(function: Callable[[Request], Any], **options: Any) -> Agent[Any]:
        from wardian.runs import RunStore

        options = {"tools": [], "store": RunStore(tmp_path / "runs"), **options}
        return Agent(FunctionModel(function), workspace=workspace, **options)

    return making
