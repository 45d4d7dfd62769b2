"""Rewards of environments made for Prime Intellect's `verifiers` (its tasksets, version 1).

The one module that imports that package. An environment is code that you installed: its rewards
run in this process, with your rights, like any package's.
Does not cover: rewards that look into a runtime of its own, tool servers, users that answer.
Source: verifiers 0.4.0, `verifiers.v1.task` and `verifiers.v1.trace`.
"""

import asyncio
import importlib
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Any

from wardian.errors import ConfigurationError
from wardian.prompt import Conversation
from wardian.rewards.types import Attempt, GradingFailed, Reward
from wardian.rewards.versions import version_of
from wardian.types import Message, Role

PACKAGE = "verifiers"
MAX_TASKS = 1_000
UNBOUNDED_TASKS = 100
"""Taken of a taskset that never ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentReward:
    """What a taskset's own rewards, weighted by it and added up, say of a run."""

    name: str = field(default="verifiers", init=False)
    taskset: str
    """The installed module's name"""
    index: int
    key: str
    """Of the task's content: another one there is an error and not a grade"""

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        """Raises: GradingFailed."""
        try:
            task = tasks_of(self.taskset)[self.index]
        except ConfigurationError as problem:
            raise GradingFailed(problem.cause, problem.remedy) from problem
        except IndexError:
            task = None
        if task is None or task.key != self.key:
            raise GradingFailed(
                f"Task {self.index} of the taskset {self.taskset} is another one by now.",
                "Make the tasks anew.",
            )
        try:
            trace = trace_of(task, messages_of(attempt))
            await task.score(trace)
        except asyncio.CancelledError:
            raise
        except Exception as problem:
            raise GradingFailed(
                f"The rewards of {self.taskset} broke: {problem!r:.300}.", "See its package."
            ) from problem
        detail = {
            "rewards": {name: one and one.score for name, one in trace.rewards.items()},
            "metrics": dict(trace.metrics),
        }
        return Reward(
            value=float(trace.reward), source=self.name, version=self.version, detail=detail
        )


@cache
def tasks_of(taskset: str) -> Sequence[Any]:
    """Its tasks, in their order. Raises: ConfigurationError."""
    version_one()
    loaders = importlib.import_module("verifiers.v1.utils.loaders")
    generic = importlib.import_module("verifiers.v1.utils.generic")
    configs = importlib.import_module("verifiers.v1.configs.taskset")
    try:
        kind = loaders.taskset_class(taskset)
        config = generic.concrete_type(kind, configs.TasksetConfig) or configs.TasksetConfig
        made = kind(config(id=taskset))
        if kind.toolsets(made.config):
            raise unfit(taskset, "has tool servers")
        limit = MAX_TASKS if made.bounded else UNBOUNDED_TASKS
        tasks: tuple[Any, ...] = tuple(islice(made, limit))
    except ConfigurationError:
        raise
    except Exception as problem:
        raise ConfigurationError(
            f"The taskset {taskset!r:.80} cannot be loaded: {problem!s:.300}",
            "Install its package here, and look what it needs.",
        ) from problem
    check_fit(taskset, tasks)
    return tasks


def check_fit(taskset: str, tasks: Iterable[Any]) -> None:
    """Raises: ConfigurationError for what would be graded by less than the whole of its rewards."""
    for task in tasks:
        if task.NEEDS_CONTAINER or task.data.image:
            raise unfit(taskset, "has tasks in containers of their own")
        if task.toolsets(task.config):
            raise unfit(taskset, "has tool servers")
        if task.data.prompt is None:
            raise unfit(taskset, "has a user who opens the conversation")
        for hook in task.hooks("reward"):
            asked = inspect.signature(hook).parameters.get("runtime")
            if asked is not None and asked.default is inspect.Parameter.empty:
                raise unfit(taskset, f"has the reward {hook.__name__}, which looks into a runtime")


def unfit(taskset: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The taskset {taskset} {why} of verifiers' own, which is not run here.",
        "Run it with verifiers itself.",
    )


def version_one() -> Any:
    """`verifiers.v1`. Raises: ConfigurationError where it is not installed."""
    try:
        return importlib.import_module("verifiers.v1")
    except ModuleNotFoundError as problem:
        is_old = (problem.name or "").startswith(f"{PACKAGE}.")
        what = "is older than its version 1" if is_old else "is not installed"
        raise ConfigurationError(
            f"The package {PACKAGE} {what}.", f"pip install -U {PACKAGE}"
        ) from problem


def messages_of(attempt: Attempt) -> tuple[Message, ...]:
    """The conversation, from its first user message on."""
    conversation = Conversation()
    for event in attempt.events:
        conversation.apply(event)
    messages = conversation.closed()
    if not any(message.role is Role.ASSISTANT for message in messages):
        asked = Message(role=Role.USER, content=attempt.task.prompt)
        messages = (asked, Message(role=Role.ASSISTANT, content=attempt.answer))
    return messages


def trace_of(task: Any, messages: Sequence[Message]) -> Any:
    """A trace of verifiers' that holds them, one after the other."""
    vf = version_one()
    traces = importlib.import_module("verifiers.v1.trace")
    graph = importlib.import_module("verifiers.v1.graph")
    nodes = [
        graph.MessageNode(
            parent=place - 1 if place else None,
            message=theirs(message),
            sampled=message.role is Role.ASSISTANT,
        )
        for place, message in enumerate(messages)
    ]
    return traces.Trace(
        task=traces.TraceTask(
            type=type(task).__name__, data=task.data, key=task.key, hash=task.hash
        ),
        agent=traces.AgentInfo(config=vf.AgentConfig()),
        nodes=nodes,
        is_completed=True,
        ok=True,
    )


def theirs(message: Message) -> Any:
    types = importlib.import_module("verifiers.v1.types")
    if message.role is Role.SYSTEM:
        return types.SystemMessage(content=message.content)
    if message.role is Role.USER:
        return types.UserMessage(content=message.content)
    if message.role is Role.TOOL:
        return types.ToolMessage(
            tool_call_id=message.call_id, content=message.content, name=message.name or None
        )
    calls = [
        types.ToolCall(id=call.id, name=call.name, arguments=call.arguments_text)
        for call in message.calls
    ]
    return types.AssistantMessage(
        content=message.content,
        reasoning_content=message.reasoning or None,
        tool_calls=calls or None,
    )
