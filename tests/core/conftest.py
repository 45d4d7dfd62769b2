"""Agents with scripted models, real tools and a real sandbox."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent, RunStore, ScriptedModel
from wardian.events import (
    CallFinished,
)
from wardian.results import RunResult
from wardian.types import (
    Finish,
    Message,
    Reply,
    Role,
)
from wardian_tools import ToolCall


class Box:
    """A workspace, a store, and agents that use them."""

    def __init__(self, root: Path) -> None:
        self.store = RunStore(root / "runs")
        self.workspace = root / "workspace"
        self.workspace.mkdir()

    def agent(self, script: Sequence[Any], **options: Any) -> Agent[Any]:
        model = options.pop("model", None) or ScriptedModel(script)
        return Agent(model, workspace=self.workspace, store=self.store, **options)

    def run(self, script: Sequence[Any], **options: Any) -> RunResult[Any]:
        return self.agent(script, **options).run_sync("Do it.")

    def events(self, run: RunResult[Any]) -> tuple[Any, ...]:
        return self.store.load(run.run_id).events

    def results(self, run: RunResult[Any]) -> list[Any]:
        return [e.result for e in self.events(run) if isinstance(e, CallFinished)]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def raw_calls(*calls: tuple[str, str], finish: Finish = Finish.CALLS, ids: str = "c{}") -> Reply:
    """A reply whose calls have exactly these names and argument texts."""
    made = tuple(
        ToolCall(id=ids.format(i), name=name, arguments_text=text)
        for i, (name, text) in enumerate(calls)
    )
    return Reply(message=Message(role=Role.ASSISTANT, content="", calls=made), finish=finish)
