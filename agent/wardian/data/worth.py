"""What each step of a run was worth."""

from wardian.events import ModelReplied, Rewarded
from wardian.rewards.steps import StepRewards, step_marks
from wardian.runs.trajectory import Trajectory

Worth = dict[int, tuple[float | None, dict[str, float]]]
"""By step: its reward, and the marks it was made of"""


def worth_of_steps(run: Trajectory, outcome: float | None) -> Worth:
    """Rewards that a verifier recorded for steps; else the marks of `wardian.rewards.steps`.

    The last reply, with which the run stands or falls, has the outcome too, where there is one.
    """
    recorded = {
        event.step: event.value
        for event in run.events
        if isinstance(event, Rewarded) and event.step
    }
    if recorded:
        return {step: (value, {}) for step, value in recorded.items()}
    weights = StepRewards().weights
    found: Worth = {
        one.step: (
            round(one.worth(weights), 6),
            {name: float(getattr(one, name)) for name, _ in weights.items()},
        )
        for one in step_marks(run.events)
    }
    steps = [event.step for event in run.events if isinstance(event, ModelReplied)]
    if steps and outcome is not None:
        value, marks = found.get(steps[-1], (0.0, {}))
        found[steps[-1]] = (value or 0.0) + outcome, {**marks, "outcome": outcome}
    return found
