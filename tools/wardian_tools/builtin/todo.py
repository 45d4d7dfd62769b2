"""`todo`: the plan a model keeps. It is the last one written, so a run's events have it."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from wardian_tools.types import Confidentiality, Integrity, Output, ResultStatus

MAX_STEPS = 50
MAX_STEP_CHARS = 300
State = Literal["open", "doing", "done"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan."""

    text: Annotated[str, "What to do, in a few words."]
    state: State = "open"


async def todo(steps: list[Step]) -> Output:
    """Write down or update your plan; it replaces the one before. Use it for a task of several
    steps: all of them first, then again each time one is done.

    Args:
        steps: Every step of the plan, in order.
    """
    problem = ""
    if len(steps) > MAX_STEPS:
        problem = f"A plan has at most {MAX_STEPS} steps."
    elif any(len(step.text) > MAX_STEP_CHARS for step in steps):
        problem = f"A step has at most {MAX_STEP_CHARS} characters."
    if problem:
        return Output(content=problem, status=ResultStatus.ERROR)
    done = sum(step.state == "done" for step in steps)
    plan: list[dict[str, Any]] = [{"text": step.text, "state": step.state} for step in steps]
    size = "1 step" if len(steps) == 1 else f"{len(steps)} steps"
    return Output(
        content=f"The plan has {size}, {done} of them done.",
        integrity=Integrity.TRUSTED,
        confidentiality=Confidentiality.PUBLIC,
        data={"plan": plan},
    )
