"""Runs to interrupt: a store, a workspace, and agents whose model goes on by what it is shown."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent, FunctionModel, RunStore, Trajectory
from wardian.beginning import Settled
from wardian.models.replies import Answer
from wardian.reruns import resume
from wardian.results import RunResult
from wardian.types import Request, Role


@dataclass(slots=True)
class House:
    """One home and one workspace."""

    store: RunStore
    workspace: Path

    def agent(self, script: Sequence[Answer], **options: Any) -> Agent[Any]:
        """An agent whose model gives the script's answer after as many as it is shown."""

        def answer(request: Request) -> Answer:
            return script[sum(message.role is Role.ASSISTANT for message in request.messages)]

        model = options.pop("model", None) or FunctionModel(answer, name="model")
        return Agent(model, workspace=self.workspace, store=self.store, **options)

    def run(self, script: Sequence[Answer], **options: Any) -> RunResult[Any]:
        return self.agent(script, **options).run_sync("Do it.")

    def resume(
        self,
        agent: Agent[Any],
        run_id: str = "last",
        settled: Mapping[str, Settled] | None = None,
    ) -> RunResult[Any]:
        async def perform() -> RunResult[Any]:
            async with agent:
                return await (await resume(agent, run_id, settled)).perform()

        return asyncio.run(perform())

    def load(self, run_id: str = "last") -> Trajectory:
        return self.store.load(run_id)

    def cut(self, run_id: str, records: int) -> None:
        """Leave the log as a kill after that many records would."""
        path = self.store.path(run_id)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:records]))

    def cut_before(self, run_id: str, kind: str, which: int = 0) -> None:
        """The same before the record of that kind."""
        self.cut(run_id, self.places(run_id, kind)[which])

    def cut_after(self, run_id: str, kind: str, which: int = 0) -> None:
        self.cut(run_id, self.places(run_id, kind)[which] + 1)

    def places(self, run_id: str, kind: str) -> list[int]:
        return [i for i, record in enumerate(self.load(run_id).records) if record.kind == kind]


@pytest.fixture
def house(tmp_path: Path) -> House:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return House(RunStore(tmp_path / "runs"), workspace)
