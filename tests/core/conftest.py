"""Agents with scripted models, real tools and a real sandbox."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wardian import Agent, FunctionModel, Policy, RunStore, ScriptedModel, SubAgent, tool
from wardian.events import CallFinished, ChildStarted
from wardian.results import RunResult
from wardian.types import Finish, Message, Reply, Request, Role, Usage
from wardian_tools import ToolCall
from wardian_tools.types import Effect


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


class House:
    """A workspace, a store, and agents with sub-agents."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = RunStore(root / "runs")
        self.workspace = root / "workspace"
        self.workspace.mkdir()

    def run(self, script: Any, *agents: SubAgent, **options: Any) -> RunResult[Any]:
        model = ScriptedModel(script) if isinstance(script, list) else script
        agent: Agent[Any] = Agent(
            model, workspace=self.workspace, store=self.store, subagents=agents, **options
        )
        return agent.run_sync("Do it.")

    def events(self, run: RunResult[Any] | str, kind: type) -> list[Any]:
        run_id = run if isinstance(run, str) else run.run_id
        return [e for e in self.store.load(run_id).events if isinstance(e, kind)]

    def child(self, run: RunResult[Any]) -> str:
        (started,) = self.events(run, ChildStarted)
        return str(started.run_id)

    def policy(self, text: str) -> Policy:
        path = self.root / "policy.toml"
        path.write_text(text)
        return Policy.load(path)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def helper(script: Any, **more: Any) -> SubAgent:
    model = ScriptedModel(script) if isinstance(script, list) else script
    made = SubAgent(name="helper", description="Helps.", model=model, tools=())
    return replace(made, **more)


ASKS_ONCE: list[Any] = [[("helper", {"task": "Look around."})], "Done."]


@tool(effects={Effect.WRITES})
def change() -> str:
    """Change something."""
    return "changed"


def counting(tokens: int) -> FunctionModel:
    """A model that calls `look` for ever; each reply takes so many tokens."""

    def answer(request: Request) -> Reply:
        call = ToolCall(id=f"c{len(request.messages)}", name="look", arguments_text="{}")
        message = Message(role=Role.ASSISTANT, content="", calls=(call,))
        usage = Usage(prompt_tokens=tokens)
        return Reply(message=message, finish=Finish.CALLS, usage=usage)

    return FunctionModel(answer)


@tool(effects=())
def look() -> str:
    """Look."""
    return "seen"
