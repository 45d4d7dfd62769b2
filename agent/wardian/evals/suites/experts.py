"""Reference solutions: who knows the way makes the calls, and reads what they give."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from wardian.models.function import FunctionModel
from wardian.models.replies import Answer
from wardian.types import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call the expert makes."""

    name: str
    arguments: dict[str, Any]


Expert = Generator[Step, str, str]
"""Yields a call, is sent the tool's result text, returns the final answer."""


def python(code: str) -> Step:
    return Step(name="python", arguments={"code": code})


def shell(command: str) -> Step:
    return Step(name="shell", arguments={"command": command})


def write(path: str, content: str) -> Step:
    return Step(name="write_file", arguments={"path": path, "content": content})


def expert_model(expert: Callable[[], Expert]) -> FunctionModel:
    """A model that does what the expert does: once, since it remembers where it is."""
    steps = expert()

    def answer(request: Request) -> Answer:
        is_first = not any(message.calls for message in request.messages)
        try:
            step = next(steps) if is_first else steps.send(request.messages[-1].content)
        except StopIteration as end:
            return str(end.value)
        return [(step.name, step.arguments)]

    return FunctionModel(answer, name="expert")
