"""What a run gives back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from typing_extensions import TypeVar

from wardian.budget import Amount
from wardian.errors import ExitCode
from wardian.types import Message, Stop, Usage
from wardian_policies.labels import FlowState

T = TypeVar("T", default=str)

EXIT_CODES = {
    Stop.DONE: ExitCode.DONE,
    Stop.STEPS: ExitCode.LIMIT,
    Stop.TOOL_CALLS: ExitCode.LIMIT,
    Stop.TOKENS: ExitCode.LIMIT,
    Stop.COST: ExitCode.LIMIT,
    Stop.TIME: ExitCode.LIMIT,
    Stop.CONTEXT: ExitCode.LIMIT,
    Stop.MALFORMED: ExitCode.NOT_ACHIEVED,
    Stop.APPROVAL: ExitCode.APPROVAL,
    Stop.CANCELLED: ExitCode.INTERRUPTED,
    Stop.FAILED: ExitCode.MODEL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult(Generic[T]):
    """What came of a task."""

    run_id: str
    answer: str
    """The final text; the last text there was when the run was stopped."""
    value: T | None
    """The answer as `output_type`, or the text itself where no type was asked for.
    None when the run did not end with an answer."""
    stop: Stop
    steps: int
    tool_calls: int
    usage: Usage
    seconds: float
    error: str
    """Why the run did not reach an answer, in a sentence; empty when it did."""
    path: Path | None
    """The trajectory; None when the run was not stored."""
    spent: Amount
    """With its sub-agents and what it went on from; for `agent.run(…, spent=result.spent)`"""
    flow: FlowState
    """What the run held at its end: the first source of each label."""
    messages: tuple[Message, ...]
    """The whole conversation, to go on from: `agent.run(…, earlier=result.messages)`."""

    @property
    def ok(self) -> bool:
        return self.stop is Stop.DONE

    @property
    def exit_code(self) -> ExitCode:
        return EXIT_CODES[self.stop]
