"""Process rewards: what each step of a run was worth, from its events alone.

Each step is one reply of the model with what became of its calls. The marks are simple and can be
read off the log, so that they can be argued with: a call was valid, an error was recovered from, a
call repeated one that had been answered, something new was learnt or changed, and what the model
said it would do is what it did.
Source for rewarding steps and not only outcomes: Lightman et al., "Let's Verify Step by Step",
arXiv:2305.20050; for the danger of it, that a mark is learnt instead of the task, keep the weights
small beside the outcome's.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from wardian.events import CallFinished, ModelReplied, Recorded
from wardian.rewards.types import Attempt, Reward
from wardian.rewards.versions import version_of
from wardian_tools.types import ResultStatus, ToolCall, ToolResult

MAX_NAMED = 40
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMarks:
    """One step, each mark between -1 and 1; 0 where it does not apply."""

    step: int
    valid: float
    """1 when all calls could be run, minus the share that could not"""
    recovered: float
    """1 when the step before had failed and this one did not"""
    repeated: float
    """-1 when every call was made before with the same result"""
    progress: float
    """1 when a result was new"""
    consistent: float
    """1 when the tool that the reply names is one that it calls, -1 when it names another only"""

    def worth(self, weights: "Weights") -> float:
        return sum(float(getattr(self, name)) * weight for name, weight in weights.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    valid: float = 0.3
    recovered: float = 0.2
    repeated: float = 0.3
    progress: float = 0.3
    consistent: float = 0.1

    def items(self) -> Iterator[tuple[str, float]]:
        for name in ("valid", "recovered", "repeated", "progress", "consistent"):
            yield name, getattr(self, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRewards:
    """The mean worth of a run's steps; `detail["steps"]` has the marks and the worth of each."""

    name: str = field(default="steps", init=False)
    weights: Weights = field(default_factory=Weights)

    @property
    def version(self) -> str:
        return version_of("1", self)

    async def grade(self, attempt: Attempt) -> Reward:
        marks = list(step_marks(attempt.events))
        worths = [round(one.worth(self.weights), 6) for one in marks]
        steps = [
            {"step": one.step, "worth": worth, **{n: getattr(one, n) for n, _ in Weights().items()}}
            for one, worth in zip(marks, worths, strict=True)
        ]
        value = sum(worths) / len(worths) if worths else 0.0
        return Reward(value=value, source=self.name, version=self.version, detail={"steps": steps})


@dataclass(slots=True)
class Step:
    """A reply and the results of its calls."""

    number: int
    text: str
    calls: Sequence[ToolCall]
    results: list[ToolResult] = field(default_factory=list[ToolResult])

    @property
    def failed(self) -> bool:
        return any(result.status is not ResultStatus.OK for result in self.results)


def step_marks(events: Iterable[Recorded]) -> Iterator[StepMarks]:
    """The marks of each step that called a tool, in order."""
    seen: dict[tuple[str, str], str] = {}
    contents: set[str] = set()
    names: set[str] = set()
    before: Step | None = None
    for step in steps_of(events):
        names |= {call.name for call in step.calls}
        if step.calls:
            made = [(call.name, arguments_of(call)) for call in step.calls]
            given = {result.call_id: result for result in step.results}
            answers = [given[call.id].content if call.id in given else "" for call in step.calls]
            pairs = list(zip(made, answers, strict=True))
            is_repeated = all(seen.get(call) == answer for call, answer in pairs)
            fine = [r for r in step.results if r.status is ResultStatus.OK]
            yield StepMarks(
                step=step.number,
                valid=share_valid(step.results),
                recovered=float(before is not None and before.failed and not step.failed),
                repeated=-float(is_repeated),
                progress=float(any(r.content not in contents for r in fine)),
                consistent=consistency(step, names),
            )
            seen.update(pairs)
            contents |= {result.content for result in fine}
        before = step


def steps_of(events: Iterable[Recorded]) -> Iterator[Step]:
    step: Step | None = None
    for event in events:
        if isinstance(event, ModelReplied):
            if step:
                yield step
            message = event.reply.message
            text = f"{message.reasoning}\n{message.content}"
            step = Step(number=event.step, text=text, calls=message.calls)
        elif isinstance(event, CallFinished) and step:
            step.results.append(event.result)
    if step:
        yield step


def share_valid(results: Sequence[ToolResult]) -> float:
    invalid = {ResultStatus.MALFORMED, ResultStatus.DISCARDED}
    if not results:
        return 0.0
    return 1.0 - 2.0 * sum(result.status in invalid for result in results) / len(results)


def consistency(step: Step, known: set[str]) -> float:
    """Does the text name the tools that are called? Said is only what is a known tool's name."""
    said = {word for word in NAME.findall(step.text)[: MAX_NAMED * 100] if word in known}
    called = {call.name for call in step.calls}
    if not said:
        return 0.0
    return 1.0 if said & called else -1.0


def arguments_of(call: ToolCall) -> str:
    if call.arguments is None:
        return call.arguments_text
    return json.dumps(call.arguments, sort_keys=True, default=str)
