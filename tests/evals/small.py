"""Small tasks, and models that answer them by rule."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from wardian import Agent
from wardian.evals.outcomes import Evaluation, Outcome
from wardian.evals.tasks import Suite, Task, task_of
from wardian.types import Request, Role

AgentOf = Callable[..., Agent[Any]]


def a_task(identity: str = "sums/1", folder: Path = Path(), **more: Any) -> Task:
    """A task whose right answer is 42, unless it is told otherwise."""
    row = {
        "id": identity,
        "prompt": "What is 6 * 7?",
        "tools": [],
        "verifier": {"kind": "number", "expected": 42},
        **more,
    }
    return task_of(row, folder=folder, source="a test")


def a_suite(*tasks: Task) -> Suite:
    return Suite(name="small", version="1", tasks=tasks)


def writes(path: str, content: str) -> Callable[[Request], Any]:
    """Writes one file, then says 42."""

    def answer(request: Request) -> Any:
        if request.messages[-1].role is Role.TOOL:
            return "42"
        return [("write_file", {"path": path, "content": content})]

    return answer


def does(command: str) -> Callable[[Request], Any]:
    """Runs one shell command, then says what it printed."""

    def answer(request: Request) -> Any:
        last = request.messages[-1]
        return last.content if last.role is Role.TOOL else [("shell", {"command": command})]

    return answer


class Counting:
    """How often a model was asked, and what it says."""

    def __init__(self, *answers: Any) -> None:
        self.asked = 0
        self.answers: Sequence[Any] = answers or ("42",)

    def __call__(self, request: Request) -> Any:
        self.asked += 1
        return self.answers[(self.asked - 1) % len(self.answers)]


class Stopping:
    """A watcher that cancels the evaluation after some outcomes."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.work: asyncio.Task[Evaluation] | None = None

    def planned(self, *_: object) -> None:
        self.work = cast("asyncio.Task[Evaluation]", asyncio.current_task())

    def ended(self, _: Outcome) -> None:
        self.left -= 1
        if self.left == 0:
            assert self.work is not None
            self.work.cancel()
